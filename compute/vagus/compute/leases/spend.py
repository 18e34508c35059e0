"""What leases cost over time, and the caps that hold it: whole numbers, no rounding in our favour.

A lease is booked before it is asked for, to the end of the time that it is wanted. Where time is paid as
it passes, that is a rate over a span, and a release cuts it off. Where hours are paid at once, it is a
lump that falls at some moment of a span, and counts whole in all that may hold that moment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from vagus.protocol import Refuse

__all__ = ["DAY", "HOUR", "Booking", "Cap", "dollars", "micros", "peak", "spent"]

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Booking:
    """Micro-USD from `begins` until `ends`, Unix seconds: `rate` per hour of it, or `lump` at once."""

    lease: int
    begins: int
    ends: int
    rate: int
    lump: int = 0


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent within any 60 minutes, and within any 24 hours, in micro-USD."""

    hour: int
    day: int

    def check(self, bookings: Sequence[Booking], now: int) -> None:
        """Raise Refuse where these bookings pass the cap in a span that ends now or later."""
        for cap, span, name in ((self.hour, HOUR, "hour"), (self.day, DAY, "day")):
            needed = peak(bookings, span, now)
            if needed > cap:
                raise Refuse(
                    f"that would come to {dollars(needed)} USD within a {name}, "
                    f"and the cap is {dollars(cap)}"
                )


def spent(bookings: Iterable[Booking], begins: int, ends: int) -> int:
    """Return what falls between two times at most, in micro-USD, rounded up."""
    passed = lumps = 0
    for each in bookings:
        seconds = min(each.ends, ends) - max(each.begins, begins)
        if seconds > 0:
            passed += each.rate * seconds
            lumps += each.lump
    return -(-passed // HOUR) + lumps


def peak(bookings: Sequence[Booking], span: int, now: int) -> int:
    """Return the most that falls within any span of that many seconds which ends now or later.

    The sum over a moving span bends or jumps only where a booking enters or leaves it.
    """
    edges = {edge for each in bookings for edge in (each.begins, each.ends)}
    ends = {e + by for edge in edges for e in (edge, edge + span) for by in (-1, 0, 1)}
    return max(spent(bookings, end - span, end) for end in {now, *(e for e in ends if e > now)})


def micros(usd: Decimal) -> int:
    """Return USD as micro-USD, rounded up."""
    return int((usd * 1_000_000).to_integral_value(ROUND_CEILING))


def dollars(amount: int) -> Decimal:
    """Return micro-USD as USD."""
    return Decimal(amount).scaleb(-6).normalize()
