"""The tests that every chain adapter passes, and the proxy that gives it a bad network.

In a test module of an adapter's author, for pytest with pytest-asyncio:

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def harness():
        async with MyHarness() as found:      # see vagus.adapters.conformance.harness
            yield found

    class TestMine(AdapterConformance):
        lacks = {"reorg": "blocks of this chain are final when they are committed"}

Overriding a test needs a written reason, and so does what a chain lacks: see `rules`.
"""

import pytest

# So that a failure in the kit shows what was compared, as in a test module of one's own.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in ("agreement", "calls", "faulty", "heads", "reading", "reorgs", "sending")
    )
)

from vagus.adapters.conformance.harness import Asked, ChainHarness, Urls  # noqa: E402 - as above
from vagus.adapters.conformance.proxy import FaultProxy  # noqa: E402 - as above
from vagus.adapters.conformance.rules import overriding  # noqa: E402 - as above
from vagus.adapters.conformance.suite import AdapterConformance  # noqa: E402 - as above

__all__ = ["AdapterConformance", "Asked", "ChainHarness", "FaultProxy", "Urls", "overriding"]
