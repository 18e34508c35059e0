"""One steered wasmd with a hub for the modules of this folder that want it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.cosmos_harness import CosmosHarness


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[CosmosHarness]:
    async with CosmosHarness() as found:
        yield found
