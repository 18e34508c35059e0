"""The simulated market: backends with tails, drift, bursts, moving prices, limits, and a trace of calls.

What happens to a try follows from the seed, the backend, the call and how often that backend was tried
for it, and from nothing that a policy did, but for the load: so all policies face the same trace.
No figure is a measurement of a real network. The shapes are those that are known of shared GPUs: log-normal
speeds with a Pareto tail, failures in bursts, prices that walk, limits on what is in flight.

Money is in micro-dollars, tokens are priced by the million, times are seconds of the loop's clock.
"""

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["DEADLINE", "Call", "Failed", "Machine", "World"]

# A caller waits so long for an answer.
DEADLINE = 60.0
# Prices and speeds move so often.
STEP = 10.0
MASK = (1 << 64) - 1


class Call(NamedTuple):
    """One call of the trace; `at` is when it comes."""

    number: int
    at: float
    prompt: int
    completion: int
    max_tokens: int


class Failed(Exception):  # noqa: N818 - an outcome, not an error
    """A try that failed; `after` as in Retry-After."""

    def __init__(self, status: int, after: float = 1.0) -> None:
        super().__init__(status)
        self.status = status
        self.after = after


class Draws:
    """Uniform numbers of one try: splitmix64, far cheaper to seed than `random.Random`."""

    def __init__(self, *parts: int) -> None:
        self._state = 0
        for part in parts:
            self._state = (self._state ^ part) * 0x9E3779B97F4A7C15 & MASK
            self.uniform()

    def uniform(self) -> float:
        """In (0, 1)."""
        self._state = self._state + 0x9E3779B97F4A7C15 & MASK
        z = self._state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return ((z ^ z >> 31) + 1) / (MASK + 3)

    def normal(self) -> float:
        return math.sqrt(-2 * math.log(self.uniform())) * math.cos(math.tau * self.uniform())


@dataclass(eq=False)
class Machine:
    """One backend of the market.

    first: seconds to the first token, at rest; speed: tokens a second, at rest. price: micro-dollars
    for a million tokens read and written at the beginning. failing: the share of tries that fail
    outside of bursts. limit: calls in flight, over which it answers 429. dies, slows: when, or never.
    """

    seed: int
    number: int
    first: float
    speed: float
    price: tuple[float, float]
    failing: float
    limit: int
    dies: float = math.inf
    slows: float = math.inf
    spent: float = 0.0
    tried: int = 0
    cancelled: int = 0
    in_flight: int = 0
    _prices: list[float] = field(default_factory=list)
    _drift: list[float] = field(default_factory=list)
    _bursts: list[tuple[float, float]] = field(default_factory=list)
    _times: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._walk = random.Random((self.seed << 20) + self.number)

    def prices(self, now: float) -> tuple[float, float]:
        """What a million tokens read and written cost now."""
        factor = math.exp(self._at(self._prices, now, 0.01, 0.995))
        return self.price[0] * factor, self.price[1] * factor

    def cost(self, prices: tuple[float, float], prompt: int, completion: float) -> float:
        return (prices[0] * prompt + prices[1] * completion) / 1e6

    async def complete(self, call: Call, timeout: float) -> float:
        """Serve a call, and return what it cost; raises Failed. Cancelled, what was written is paid."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        again = self._times[call.number] = self._times.get(call.number, -1) + 1
        self.tried += 1
        draws = Draws(self.seed, self.number, call.number, again)
        network = 0.02 + 0.05 * draws.uniform()
        if now >= self.dies:
            await self._fail(min(network, timeout), 502)
        if self.in_flight >= self.limit:
            await self._fail(min(network, timeout), 429, 2.0)
        prices = self.prices(now)
        self.in_flight += 1
        try:
            if draws.uniform() < self._failing(now):
                # One of ten hangs until its caller gives up, the others say so soon.
                slow = draws.uniform() < 0.1
                took = timeout if slow else network + 0.3 * draws.uniform()
                await self._fail(min(took, timeout), 504 if slow else 500)
            first, total = self._times_of(call, draws, now, self.in_flight)
            await self._write(call, prices, network + first, network + total, timeout)
        finally:
            self.in_flight -= 1
        paid = self.cost(prices, call.prompt, call.completion)
        self.spent += paid
        return paid

    def foresee(self, call: Call, now: float) -> float:
        """Seconds that a try of a call would take if it began now; infinite where it would fail."""
        draws = Draws(self.seed, self.number, call.number, self._times.get(call.number, -1) + 1)
        network = 0.02 + 0.05 * draws.uniform()
        if now >= self.dies or self.in_flight >= self.limit or draws.uniform() < self._failing(now):
            return math.inf
        return network + self._times_of(call, draws, now, self.in_flight + 1)[1]

    async def _fail(self, seconds: float, status: int, after: float = 1.0) -> None:
        await asyncio.sleep(seconds)
        raise Failed(status, after)

    async def _write(
        self, call: Call, prices: tuple[float, float], first: float, total: float, timeout: float
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await asyncio.sleep(min(total, timeout))
        except asyncio.CancelledError:
            self.cancelled += 1
            self._part(call, prices, first, total, loop.time() - began)
            raise
        if total > timeout:
            self._part(call, prices, first, total, timeout)
            raise Failed(504)

    def _part(
        self, call: Call, prices: tuple[float, float], first: float, total: float, lasted: float
    ) -> None:
        """Pay for a call that was left: its prompt, and what had been written."""
        share = max(0.0, min(1.0, (lasted - first) / max(total - first, 1e-9)))
        self.spent += self.cost(prices, call.prompt, call.completion * share)

    def _times_of(self, call: Call, draws: Draws, now: float, busy: int) -> tuple[float, float]:
        """Seconds to the first token and to the last, with so many calls in flight."""
        slow = math.exp(self._at(self._drift, now, 0.06, 0.97))
        slow *= math.exp(0.3 * draws.normal())
        if draws.uniform() < 0.04:
            slow *= min(draws.uniform() ** (-1 / 1.2), 60.0)
        if now >= self.slows:
            slow *= 8
        slow *= 1 + 0.5 * (busy / self.limit) ** 2
        first = self.first * slow
        return first, first + call.completion / self.speed * slow

    def _at(self, walk: list[float], now: float, step: float, kept: float) -> float:
        """A walk that returns to 0, at a time."""
        at = int(now / STEP)
        while len(walk) <= at:
            own = Draws(self.seed, self.number, len(walk), round(step * 1000))
            if walk:
                walk.append(kept * walk[-1] + step * own.normal())
            else:
                walk.append(step / math.sqrt(1 - kept * kept) * own.normal())
        return walk[at]

    def _failing(self, now: float) -> float:
        """The share of tries that fail now."""
        return 0.6 if self._bursting(now) else self.failing

    def _bursting(self, now: float) -> bool:
        """Whether nearly everything fails now: 20 s on average, every 20 minutes."""
        while not self._bursts or self._bursts[-1][0] <= now:
            last = self._bursts[-1][1] if self._bursts else 0.0
            begins = last + self._walk.expovariate(1 / 1200)
            self._bursts.append((begins, begins + self._walk.expovariate(1 / 20)))
        return any(begins <= now < ends for begins, ends in self._bursts[-2:])


class World:
    """A market of so many backends, and the calls that come, by one seed."""

    def __init__(self, seed: int, backends: int, calls: int, rate: float) -> None:
        source = random.Random(seed * 1009 + backends)
        self.calls = _trace(source, calls, rate)
        self.by_number = dict(enumerate(self.calls))
        self.machines = [_machine(source, seed, number) for number in range(backends)]
        if backends >= 3:
            self._break(source, self.calls[-1].at)

    def _break(self, source: random.Random, lasts: float) -> None:
        """One of the cheapest dies, one turns slow; none that is ever the cheapest of all.

        So who asks the cheapest loses nothing by it: it is to fail no more than its backends do.
        """
        steps = [at * STEP for at in range(int(lasts / STEP) + 1)]
        cheapest = {min(self.machines, key=lambda m: sum(m.prices(at))).number for at in steps}
        order = sorted(self.machines, key=lambda each: sum(each.price))
        never = [each for each in order if each.number not in cheapest]
        others = [each for each in order[1:] if each not in never]
        dies, slows = source.sample([*never, *others][:4], 2)
        dies.dies, slows.slows = lasts / 3, lasts / 2


def _machine(source: random.Random, seed: int, number: int) -> Machine:
    written = 600_000 * math.exp(source.gauss(0, 0.35))
    return Machine(
        seed=seed,
        number=number,
        first=0.4 * math.exp(source.gauss(0, 0.6)),
        speed=60 * math.exp(source.gauss(0, 0.6)),
        price=(written / 4, written),
        failing=min(0.12, max(0.005, source.gauss(0.04, 0.02))),
        limit=max(48, round(80 * math.exp(source.gauss(0, 0.5)))),
    )


def _trace(source: random.Random, calls: int, rate: float) -> list[Call]:
    at, found = 0.0, []
    for index in range(calls):
        at += source.expovariate(rate)
        prompt = min(8000, max(20, round(400 * math.exp(source.gauss(0, 0.8)))))
        written = min(1024, max(4, round(150 * math.exp(source.gauss(0, 0.6)))))
        room = next(each for each in (64, 256, 1024) if each >= written)
        found.append(Call(index, at, prompt, written, room))
    return found
