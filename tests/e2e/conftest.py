"""One devnet, one client and one stub model for all of this folder: its tests share a worker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.client import Client, hurried_client_of
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
