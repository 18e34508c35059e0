"""What a hub has on Solana alone, on Surfpool: a node's own runtime, loader and rules of rent."""

from collections.abc import Iterator

import pytest

from support.hub import members
from support.hub_cases.on_solana import on_solana
from support.hub_cases.table import Case, Dialect, judge
from support.solana_own import OWN
from support.surfpool_chain import SurfpoolChain, running_surfpool_chain

pytestmark = pytest.mark.xdist_group("surfpool_attacks")


@pytest.fixture(scope="module")
def chain() -> Iterator[SurfpoolChain]:
    with running_surfpool_chain() as node:
        yield node


@pytest.mark.parametrize("case", OWN, ids=lambda case: case.name)
def test_rule(chain: SurfpoolChain, case: Case):
    judge(case, on_solana(chain, members(4), 3), Dialect())
