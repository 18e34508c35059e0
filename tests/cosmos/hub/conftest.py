from collections.abc import Iterator

import pytest

from support.hub import members
from support.hub_cosmos import CosmosHub, Puppet, new_hub
from support.wasmd import Chain, running_wasmd


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """One node for all tests of a worker."""
    with running_wasmd() as node:
        yield node


@pytest.fixture
def hub(chain: Chain) -> CosmosHub:
    """A fresh hub with a committee of four, three of whom must sign."""
    return new_hub(chain, members(4), 3, chain.accounts[1])


@pytest.fixture
def puppet(chain: Chain) -> Puppet:
    """A contract that does as it is told."""
    return Puppet(chain)
