"""A second hub on the same chain, of the same code and committee."""

import pytest

from support.cosmos_harness import CosmosHarness
from support.impostor import asked_of_another_hub_is_not_asked_here

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("cosmos_reading"),
]


async def test_what_another_hub_is_asked_is_not_asked_of_this_one(harness: CosmosHarness) -> None:
    await asked_of_another_hub_is_not_asked_here(harness, await harness.another_hub())
