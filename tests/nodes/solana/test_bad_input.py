"""The list of bad input on Surfpool: a node's own runtime and rules of rent, not LiteSVM's."""

from collections.abc import Iterator

import pytest

from support.hub import members
from support.hub_cases.table import Case
from support.hub_solana import new_solana_hub
from support.impostor import asked_of_another_hub_is_not_asked_here
from support.solana_attacks import ATTACKS, tried
from support.surfpool_chain import SurfpoolChain, running_surfpool_chain
from support.surfpool_harness import SurfpoolHarness

pytestmark = pytest.mark.xdist_group("surfpool_attacks")


@pytest.fixture(scope="module")
def chain() -> Iterator[SurfpoolChain]:
    with running_surfpool_chain() as node:
        yield node


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_bad_input_is_rejected_by_name_and_moves_nothing(
    chain: SurfpoolChain, monkeypatch: pytest.MonkeyPatch, case: Case
):
    hub = new_solana_hub(chain, chain.program, members(4), 3, name=f"attacked by {case.name}")
    tried(hub, monkeypatch, case)


@pytest.mark.asyncio
async def test_what_another_hub_is_asked_is_not_asked_of_this_one() -> None:
    async with SurfpoolHarness() as harness:
        await asked_of_another_hub_is_not_asked_here(harness, await harness.another_hub())
