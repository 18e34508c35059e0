"""One LiteSVM devnet with a hub for each module of tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.solana_harness import LitesvmHarness


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[LitesvmHarness]:
    async with LitesvmHarness() as found:
        yield found
