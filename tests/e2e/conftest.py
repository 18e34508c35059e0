"""One devnet, one client and one stub model a worker for all of this folder; a module is a group."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.client import Client, hurried_client_of
from support.installed import environment_in
from support.node_devnet import Devnet, running_devnet
from support.node_model import StubModel, stub_model


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def devnet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    async with running_devnet(tmp_path_factory.mktemp("devnet") / "net") as net:
        yield net


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(devnet: Devnet) -> AsyncIterator[Client]:
    async with hurried_client_of(devnet.chains) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as model:
        yield model


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which vagus and strangers' plugins are installed."""
    return environment_in(tmp_path_factory.mktemp("plugins"))
