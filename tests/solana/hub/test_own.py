"""What a hub has on Solana alone, in LiteSVM. On a node: tests/nodes/solana/test_own.py."""

import pytest

from support.hub import members
from support.hub_cases.on_solana import on_solana
from support.hub_cases.table import Case, Dialect, judge
from support.litesvm import LiteChain
from support.solana_own import OWN


@pytest.mark.parametrize("case", OWN, ids=lambda case: case.name)
def test_rule(chain: LiteChain, case: Case):
    judge(case, on_solana(chain, members(4), 3), Dialect())


def test_what_is_accepted_is_found_in_the_accounts():
    assert [case.name for case in OWN if case.reason is None and case.then is None] == []
