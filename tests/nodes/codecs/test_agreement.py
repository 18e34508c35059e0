"""The codecs of three adapters and three hubs agree byte for byte on the same 100,000 random messages."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from support.differential.agreement import compare_calls, compare_views
from support.differential.cosmos import running_cosmos_side
from support.differential.drawing import Draw, signables
from support.differential.evm import running_evm_side
from support.differential.side import Side
from support.differential.solana import running_solana_side

SEED = 2026
PAIRS = 50_000  # an intent and an attestation each

Running = Callable[[], AbstractContextManager[Side]]


# A call on wasmd takes eight times as long as on the others: a fifth of them are made there.
@pytest.mark.parametrize(
    ("running", "called"),
    [
        pytest.param(running_cosmos_side, PAIRS // 5, id="wasmd"),
        pytest.param(running_solana_side, PAIRS, id="litesvm"),
        pytest.param(running_evm_side, PAIRS, id="anvil"),
    ],
)
def test_a_hundred_thousand_messages_agree(
    capfd: pytest.CaptureFixture[str], running: Running, called: int
) -> None:
    # How far it is is for whoever waits.
    with capfd.disabled(), running() as side:
        assert compare_views(side, Draw(SEED), PAIRS) == signables(PAIRS)
        assert compare_calls(side, Draw(SEED), called) == 2 * called
