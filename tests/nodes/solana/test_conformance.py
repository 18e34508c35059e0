"""The adapters' conformance kit against a Surfpool node."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.surfpool_harness import SURFPOOL_LACKS, SurfpoolHarness
from vagus.adapters.conformance import AdapterConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("surfpool_conformance"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[SurfpoolHarness]:
    async with SurfpoolHarness() as found:
        yield found


class TestSolana(AdapterConformance):
    """The Solana adapter."""

    lacks = SURFPOOL_LACKS
