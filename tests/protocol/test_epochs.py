"""Which of two sets an intent belongs to, while one gives way to the other."""

import pytest

from vagus.protocol import Retry, SignerSet, deciding

OLD = SignerSet(7, (b"\x01" * 20,), 1)
NEW = SignerSet(8, (b"\x02" * 20, b"\x03" * 20), 2)
ROTATED, UNTIL = 1_000, 4_600


def found(requested_at: int, now: int, previous: SignerSet | None = OLD) -> SignerSet:
    return deciding(
        NEW,
        previous,
        rotated_at=ROTATED if previous else 0,
        previous_until=UNTIL if previous else 0,
        requested_at=requested_at,
        now=now,
    )


@pytest.mark.parametrize(
    ("requested_at", "now", "wanted"),
    [
        (999, 1_000, OLD),
        (999, 4_600, OLD),  # a hub takes its signatures in this second still
        (999, 4_601, NEW),
        (1_000, 1_000, NEW),
        (1_001, 4_600, NEW),
        (1, 9_999, NEW),
    ],
)
def test_the_set_at_the_time_of_the_request_decides_until_it_no_longer_counts(
    requested_at: int, now: int, wanted: SignerSet
) -> None:
    assert found(requested_at, now) is wanted


def test_without_a_rotation_the_only_set_decides() -> None:
    assert found(1, 1, None) is NEW


def test_before_the_destination_is_final_to_the_request_nobody_is_known() -> None:
    """A rotation earlier than the request may still come to be final."""
    with pytest.raises(Retry, match="3 s older than the request"):
        found(1_003, 1_000)
