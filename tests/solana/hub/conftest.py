import pytest

from support.hub import members
from support.hub_solana import SolanaHub, new_solana_hub
from support.litesvm import LiteChain
from support.solana_scene import Scene, new_scene


@pytest.fixture
def chain() -> LiteChain:
    """A chain for each test."""
    return LiteChain()


@pytest.fixture
def hub(chain: LiteChain) -> SolanaHub:
    """A hub with a committee of four, three of whom must sign."""
    return new_solana_hub(chain, chain.program, members(4), 3)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A hub in which all has happened once. Its tests simulate, so that nothing changes."""
    return new_scene()
