"""The adapters' conformance kit against LiteSVM's devnet."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.solana_harness import LACKS, LitesvmHarness
from vagus.adapters.conformance import AdapterConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_conformance"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[LitesvmHarness]:
    async with LitesvmHarness() as found:
        yield found


class TestSolana(AdapterConformance):
    """The Solana adapter."""

    lacks = LACKS
