"""A second hub on the same chain, whose requests name the first one too."""

import pytest

from support.impostor import asked_of_another_hub_is_not_asked_here
from support.solana_harness import LitesvmHarness

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_reading"),
]


async def test_what_another_hub_is_asked_is_not_asked_of_this_one(harness: LitesvmHarness) -> None:
    await asked_of_another_hub_is_not_asked_here(harness, await harness.another_hub())
