"""The adapters' conformance kit against anvil: nothing lacks, and nothing is overridden."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.evm_harness import EvmHarness
from vagus.adapters.conformance import AdapterConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_conformance"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness() -> AsyncIterator[EvmHarness]:
    async with EvmHarness() as found:
        yield found


class TestEvm(AdapterConformance):
    """The EVM adapter."""
