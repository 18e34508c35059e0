"""The list of bad input on LiteSVM: a named error, and nothing moves."""

import pytest

from support.hub_cases.table import Case
from support.hub_solana import SolanaHub
from support.solana_attacks import ATTACKS, tried


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_bad_input_is_rejected_by_name_and_moves_nothing(
    hub: SolanaHub, monkeypatch: pytest.MonkeyPatch, case: Case
):
    tried(hub, monkeypatch, case)
