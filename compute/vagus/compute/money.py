"""US dollars in the committee's unit of account: what networks charge in, and what fees are in.

Amounts of fees and prices are integers of the unit's smallest part. A rate comes from whom the config
names (`vagus.compute.rates`); without one, or once it is too old, nothing that is priced in dollars has
a price.
"""

import time
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from vagus.compute.price import EXACT, Price
from vagus.protocol import Retry

__all__ = ["UNIT", "Money", "Rate"]

UNIT = 10**18
"""Smallest parts in one of the committee's unit of account: as in a coin of EVM chains."""


class Rate(NamedTuple):
    """US dollars that one unit of account is worth, and who says so."""

    usd: Decimal
    source: str


class Money:
    """The rate as it is now. `max_age`: seconds for which one counts; `clock` never goes back."""

    def __init__(
        self,
        rate: Rate | None = None,
        *,
        max_age: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._max_age = max_age
        self._clock = clock
        self._at = clock()

    def set(self, rate: Rate) -> None:
        """Take a rate that was learned now."""
        self._rate, self._at = rate, self._clock()

    def rate(self) -> Rate:
        """Return the rate. Raises Retry where there is none, or none that is fresh."""
        if self._rate is None:
            raise Retry("what a US dollar is worth here is not known: give [money] in the config")
        age = self._clock() - self._at
        if age > self._max_age:
            raise Retry(f"what a US dollar is worth here was last learned {age:.0f} s ago")
        return self._rate

    def price(self, read: Decimal, written: Decimal, source: str) -> Price:
        """Return a price of USD per 1,000,000 tokens in the unit of account. Raises as `rate`."""
        rate = self.rate()
        said = f"{source}; USD by {rate.source}"
        return Price(_parts(read, rate), _parts(written, rate), said)

    def parts(self, usd: Decimal) -> int:
        """Return an amount of dollars in the unit's smallest parts, rounded up. Raises as `rate`."""
        return int(_parts(usd, self.rate()))


def _parts(usd: Decimal, rate: Rate) -> Decimal:
    # Whole parts per million tokens: a fee's smallest part is worth nothing to anyone, and a price
    # is written out in the evidence.
    exact = EXACT.divide(EXACT.multiply(usd, Decimal(UNIT)), rate.usd)
    return exact.to_integral_value(ROUND_CEILING)
