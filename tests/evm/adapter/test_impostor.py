"""A second hub on the same chain, of the same code and committee."""

import pytest

from support.evm_harness import EvmHarness
from support.impostor import asked_of_another_hub_is_not_asked_here


@pytest.mark.asyncio
async def test_what_another_hub_is_asked_is_not_asked_of_this_one() -> None:
    async with EvmHarness() as harness:
        await asked_of_another_hub_is_not_asked_here(harness, await harness.another_hub())
