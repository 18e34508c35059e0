"""What leases cost, against sums made second by second."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.compute.leases.spend import Booking, Cap, peak, spent
from vagus.protocol import Refuse

NOW = 1000
SPANS = st.tuples(st.integers(0, 2000), st.integers(1, 1500))


@st.composite
def bookings(draw: st.DrawFn) -> list[Booking]:
    found = []
    for begins, length in draw(st.lists(SPANS, max_size=5)):
        rate = draw(st.integers(0, 10)) * 3600
        lump = draw(st.sampled_from([0, 0, 5000]))
        found.append(Booking(1, begins, begins + length, rate, lump))
    return found


def by_the_second(found: Sequence[Booking], begins: int, ends: int) -> int:
    total = 0
    for each in found:
        inside = [at for at in range(each.begins, each.ends) if begins <= at < ends]
        total += len(inside) * each.rate // 3600 + (each.lump if inside else 0)
    return total


@given(bookings(), st.integers(0, 3000), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_what_falls_in_a_span_is_the_sum_of_its_seconds(
    found: list[Booking], begins: int, length: int
) -> None:
    assert spent(found, begins, begins + length) == by_the_second(found, begins, begins + length)


@given(bookings(), st.integers(1, 900))
@settings(max_examples=25, deadline=None)
def test_the_peak_is_that_of_the_worst_span_that_ends_from_now_on(
    found: list[Booking], span: int
) -> None:
    worst = max(spent(found, end - span, end) for end in range(NOW, 5500))
    assert peak(found, span, NOW) == worst


def test_a_cap_is_a_refusal_that_says_what_it_would_come_to() -> None:
    cap = Cap(hour=1_000_000, day=2_000_000)
    cap.check([Booking(1, 0, 7200, 1_000_000)], 0)
    with pytest.raises(Refuse, match=r"1\.5 USD within a hour, and the cap is 1$"):
        cap.check([Booking(1, 0, 7200, 1_500_000)], 0)
    with pytest.raises(Refuse, match=r"3 USD within a day, and the cap is 2$"):
        cap.check([Booking(1, 0, 3 * 3600, 1_000_000)], 0)
