"""One devnet of three kinds of chains, one client and one stub model for all of this folder."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.node_devnet import Devnet, running_devnet
from support.node_model import StubModel, stub_model
from support.worlds.client import KINDS, Worlds, hurried_worlds_of
from vagus.daemon.wasmd import wasmd_path


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    """wasmd, which is built once a machine: that may take minutes, and no test waits for it."""
    wasmd_path()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def devnet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    folder = tmp_path_factory.mktemp("worlds") / "net"
    async with running_devnet(folder, chains=",".join(KINDS)) as net:
        yield net


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worlds(devnet: Devnet) -> AsyncIterator[Worlds]:
    async with hurried_worlds_of(devnet) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as model:
        yield model
