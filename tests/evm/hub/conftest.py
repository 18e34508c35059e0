from collections.abc import Iterator
from pathlib import Path

import pytest

from support.anvil import Anvil, running_anvil
from support.contracts import compiled, deploy
from support.hub import HubClient, members, new_hub


@pytest.fixture(scope="session")
def chain() -> Iterator[Anvil]:
    """One node for all tests of a worker."""
    with running_anvil() as anvil:
        yield anvil


@pytest.fixture(scope="session")
def first_hub(chain: Anvil) -> HubClient:
    """A hub with a committee of four, three of whom must sign."""
    return new_hub(chain, members(4), 3, chain.accounts[1])


@pytest.fixture
def anvil(chain: Anvil, first_hub: HubClient) -> Iterator[Anvil]:
    """The node, as it was before the test once the test is over."""
    with chain.undone():
        yield chain


@pytest.fixture
def hub(anvil: Anvil, first_hub: HubClient) -> HubClient:
    """The hub, as it was deployed."""
    return first_hub


@pytest.fixture
def puppet(anvil: Anvil):
    """A contract that does as it is told."""
    return deploy(anvil, compiled(Path(__file__).parent / "contracts" / "Puppet.vy"))
