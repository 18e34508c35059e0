"""The adapters' conformance kit against a real wasmd."""

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar

import pytest
import pytest_asyncio

from support.cosmos_harness import CosmosHarness
from vagus.adapters.conformance import AdapterConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("cosmos_conformance"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[CosmosHarness]:
    async with CosmosHarness() as found:
        yield found


class TestCosmos(AdapterConformance):
    """The Cosmos adapter."""

    lacks: ClassVar[Mapping[str, str]] = {
        "finality": "a block of CometBFT is final when it is committed: no newer one is not final",
        "reorg": "a committed block of CometBFT is never replaced",
        "mempool": "wasmd forgets a transaction only when it is started again",
    }
