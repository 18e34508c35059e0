"""When a GPU by the hour is cheaper than tokens: the written policy for leased backends.

Tokens are counted as they are used, wherever they were served, and forgotten by half every
`half_life` hours. What an hour's tokens would cost elsewhere is the lease's worth, of which it can
serve no more than its GPU writes. A lease is taken where its worth is `lease_above` times its price,
and renewed while it is more than `keep_above` times. The two differ so that a load near the break-even
does not take and drop leases, each of which pays for minutes of loading weights.

After a pause nothing is expected: what is not yet seen is not leased for. So the dearest that it can
be is the tokens of a rising load until it is believed, and one term after it ended.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vagus.compute.base import Backend, Completion, Model
from vagus.compute.price import Price, Usage
from vagus.compute.routing.served import Served
from vagus.protocol import Refuse, Retry

__all__ = ["Capacity", "CapacityConfig", "Decision", "tell"]

HOUR = 3600.0


class CapacityConfig(BaseModel):
    """A leased backend's `capacity` table.

    half_life: hours after which a token counts half. lease_above, keep_above: the worth of a lease,
    in its prices, over which it is taken and renewed. tokens_per_second: what the GPU writes at
    most, all requests together; without it a lease is taken to serve all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life: Annotated[float, Field(gt=0, le=168)] = 0.5
    lease_above: Annotated[float, Field(gt=0, le=100)] = 1.3
    keep_above: Annotated[float, Field(gt=0, le=100)] = 0.8
    tokens_per_second: Annotated[float, Field(gt=0, le=1e9)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.keep_above > self.lease_above:
            raise ValueError("keep_above is over lease_above: a lease would be dropped at once")
        return self


class Decision(NamedTuple):
    """Whether a lease is wanted now, and why, in words for the log and for `vagus leases`."""

    wanted: bool
    reason: str


class Capacity:
    """One model's use of tokens. `clock` is in seconds and never goes back."""

    def __init__(self, config: CapacityConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._at = clock()
        self._prompt = self._completion = 0.0

    def used(self, usage: Usage) -> None:
        """Count one call's tokens, whoever served it."""
        self._fade()
        self._prompt += usage.prompt
        self._completion += usage.completion

    def rate(self) -> Usage:
        """Return the tokens of an hour at the present rate."""
        self._fade()
        per_hour = math.log(2) / self._config.half_life
        return Usage(round(self._prompt * per_hour), round(self._completion * per_hour))

    def decide(self, tokens: Price, hour: Decimal, *, leased: bool) -> Decision:
        """Say whether to lease, or near the end of a paid term whether to renew.

        tokens: what they cost elsewhere now. hour: what the lease costs an hour, in the same unit.
        """
        rate = self.rate()
        share = self._share(rate)
        worth = tokens.cost(Usage(int(rate.prompt * share), int(rate.completion * share)))
        least = self._config.keep_above if leased else self._config.lease_above
        wanted = worth > 0 and worth >= hour * Decimal(str(least))
        compared = "at least" if wanted else "less than"
        return Decision(
            wanted,
            f"an hour's tokens cost {worth} elsewhere, {compared} {least:g} times the lease's {hour:f}",
        )

    def _share(self, rate: Usage) -> float:
        """Return how much of the load one lease can serve, 0 to 1."""
        most = self._config.tokens_per_second
        if most is None or rate.completion <= most * HOUR:
            return 1.0
        return most * HOUR / rate.completion

    def _fade(self) -> None:
        now = self._clock()
        kept = 0.5 ** ((now - self._at) / HOUR / self._config.half_life)
        self._prompt *= kept
        self._completion *= kept
        self._at = now


def tell(
    renting: Sequence[Backend],
) -> Callable[[Completion, Served, Sequence[Backend]], None]:
    """Return the router's observer that tells backends which rent what tokens are used elsewhere."""

    def saw(request: Completion, served: Served, allowed: Sequence[Backend]) -> None:
        usage = served.answer.usage
        elsewhere = _cheapest(request.model, usage, allowed)
        for each in renting:
            each.used(request.model, usage, elsewhere)

    return saw


def _cheapest(model: Model, usage: Usage, backends: Sequence[Backend]) -> Price | None:
    """Return the price at which a usage is cheapest, of those who rent nothing."""
    prices = []
    for backend in backends:
        if not backend.rents:
            try:
                prices.append(backend.price(model))
            except (Retry, Refuse):
                continue
    return min(prices, key=lambda each: each.cost(usage), default=None)
