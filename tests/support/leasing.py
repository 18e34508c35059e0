"""A generated fortnight of load and prices, and what it costs to lease always, never, or as the policy says.

    PYTHONPATH=tests python -m support.leasing

prints the table in docs/routing.md. The trace is generated, with the seed 20261 and in steps of a minute:
no operator's load and no network's prices are in it. Tokens follow the day and the week, with bursts of an
hour, and prices walk. A lease serves from ten minutes after it was taken, is paid by the hour, and writes so
many tokens a second at most; what it can't serve is bought. The policy is `vagus.compute.routing.capacity`,
asked each minute without a lease and at each hour's end with one.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from vagus.compute import Price, Usage
from vagus.compute.routing.capacity import Capacity, CapacityConfig

__all__ = ["LOADS", "Minute", "Outcome", "always", "by_policy", "hindsight", "never", "trace"]

SEED = 20261
MINUTES, HOUR = 14 * 24 * 60, 60
STARTUP = 10
SPEED = 900.0  # tokens a second: one large GPU, many requests at once
# Tokens a second at the day's height.
LOADS = {"idle": 4.0, "light": 40.0, "even": 250.0, "heavy": 800.0, "over": 2500.0}


class Minute(NamedTuple):
    """Tokens written, thrice as many are read; micro-dollars for a million written, and for an hour leased."""

    written: int
    token: float
    hour: float

    def price(self) -> Price:
        return Price(Decimal(round(self.token / 4)), Decimal(round(self.token)))

    def bought(self, share: float = 1.0) -> float:
        """What a share of the minute's tokens costs where it is bought."""
        usage = Usage(round(3 * self.written * share), round(self.written * share))
        return float(self.price().cost(usage))


@dataclass
class Outcome:
    """micro-dollars in all; leases taken, and the hours that were paid for."""

    cost: float = 0.0
    leases: int = 0
    hours: int = 0


def trace(load: str) -> list[Minute]:
    """The generated fortnight at one of the loads."""
    source = random.Random(f"{SEED} {load}")
    burst, token, hour = 0, 0.0, 0.0
    found = []
    for at in range(MINUTES):
        day = 0.5 - 0.5 * math.cos(math.tau * (at % 1440 / 1440 - 0.15))
        week = 0.4 if at // 1440 % 7 >= 5 else 1.0
        if burst:
            burst -= 1
        elif source.random() < 1 / 1440:
            burst = source.randint(30, 90)
        height = LOADS[load] * (0.05 + 0.95 * day**2) * week * (3 if burst else 1)
        token = 0.999 * token + source.gauss(0, 0.01)
        hour = 0.999 * hour + source.gauss(0, 0.006)
        written = round(60 * height * source.lognormvariate(0, 0.5))
        found.append(Minute(written, 600_000 * math.exp(token), 900_000 * math.exp(hour)))
    return found


def never(minutes: Sequence[Minute]) -> Outcome:
    return Outcome(sum(each.bought() for each in minutes))


def always(minutes: Sequence[Minute]) -> Outcome:
    return _played(minutes, lambda at, leased: True)


def by_policy(minutes: Sequence[Minute], config: CapacityConfig | None = None) -> Outcome:
    """What it costs where `Capacity` is asked."""
    now = [0.0]
    capacity = Capacity(config or CapacityConfig(tokens_per_second=SPEED), lambda: now[0])

    def wanted(at: int, leased: bool) -> bool:
        each = minutes[at]
        return capacity.decide(each.price(), Decimal(round(each.hour)), leased=leased).wanted

    def used(at: int) -> None:
        now[0] = 60.0 * (at + 1)
        written = minutes[at].written
        capacity.used(Usage(3 * written, written))

    return _played(minutes, wanted, used)


def hindsight(minutes: Sequence[Minute]) -> float:
    """What the best leases in hindsight come to, each of whole hours from any full hour: no policy's aim."""
    hours = [minutes[at : at + HOUR] for at in range(0, len(minutes), HOUR)]
    bare = leased = 0.0
    for number, each in enumerate(hours):
        bought = sum(minute.bought() for minute in each)
        served = each[0].hour + sum(minute.bought(_spills(minute)) for minute in each)
        # The first ten minutes of a lease are bought.
        late = sum(m.bought(1 - _spills(m)) for m in each[:STARTUP])
        bare, leased = (
            min(bare, leased) + bought,
            served + (late if not number else min(leased, bare + late)),
        )
    return min(bare, leased)


def _spills(minute: Minute) -> float:
    """The share that one lease can't serve."""
    return max(0.0, 1 - SPEED * 60 / minute.written) if minute.written else 0.0


def _played(
    minutes: Sequence[Minute],
    wanted: Callable[[int, bool], bool],
    used: Callable[[int], None] = lambda at: None,
) -> Outcome:
    found, paid_until, serves_from = Outcome(), 0, 0
    for at, minute in enumerate(minutes):
        if at >= paid_until:
            leased = bool(paid_until) and at == paid_until
            if wanted(at, leased):
                found.hours += 1
                found.cost += minute.hour
                if not leased:
                    found.leases += 1
                    serves_from = at + STARTUP
                paid_until = at + HOUR
        serves = serves_from <= at < paid_until
        found.cost += minute.bought(_spills(minute) if serves else 1.0)
        used(at)
    return found


def rows() -> Iterator[str]:
    """The table, line by line."""
    yield "| load at the day's height | never | always | by the policy | leases, hours | in hindsight |"
    yield "|---|---:|---:|---:|---:|---:|"
    for load, height in LOADS.items():
        minutes = trace(load)
        own = by_policy(minutes)
        costs = [never(minutes).cost, always(minutes).cost, own.cost, hindsight(minutes)]
        dollars = [f"{each / 1e6:,.2f}" for each in costs]
        counts = f"{own.leases}, {own.hours}"
        yield f"| {height:g} tokens/s | {' | '.join([*dollars[:3], counts, dollars[3]])} |"


if __name__ == "__main__":
    print("\n".join(rows()))
