"""Codecs and hubs agree on what `make test` has time for; the whole is in tests/nodes/codecs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from support.differential.agreement import compare_calls, compare_views
from support.differential.drawing import Draw, signables
from support.differential.evm import running_evm_side
from support.differential.messages import Message
from support.differential.side import Side
from support.differential.solana import running_solana_side

SEED = 7
PAIRS = 1_000  # an intent and an attestation each
SIDES: dict[str, Callable[[], AbstractContextManager[Side]]] = {
    "anvil": running_evm_side,
    "litesvm": running_solana_side,
}


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    with SIDES[request.param]() as found:
        yield found


def test_ids_and_digests_of_any_message_are_the_protocols(side: Side) -> None:
    assert compare_views(side, Draw(SEED), PAIRS) == signables(PAIRS)


def test_what_is_asked_and_delivered_is_what_the_adapter_reads(side: Side) -> None:
    assert compare_calls(side, Draw(SEED), PAIRS) == 2 * PAIRS


@pytest.mark.parametrize("place", [0, 63])
def test_one_bit_of_one_message_is_noticed(
    side: Side, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    honest = side.packed
    packed = []

    def spoilt(message: Message) -> bytes:
        packed.append(message)
        data = honest(message)
        if len(packed) != 150:
            return data
        return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]

    monkeypatch.setattr(side, "packed", spoilt)
    with pytest.raises(AssertionError, match=rf"message 149: .*byte {place} is another one"):
        compare_views(side, Draw(SEED), 100)
