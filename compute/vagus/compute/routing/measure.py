"""What was observed of each backend and model, fading with time and with newer observations.

Times are of the router's clock, in seconds; nothing here reads another, or rolls dice.
"""

from collections.abc import Callable, Iterator
from math import log
from typing import NamedTuple

from vagus.compute.base import Answer
from vagus.compute.routing.breaker import Breaker
from vagus.compute.routing.quarantine import Trust
from vagus.compute.routing.tuning import Tuning

__all__ = ["SIZES", "Estimate", "Key", "Latency", "Measurements", "Series", "size_of"]

Key = tuple[str, bytes]
"""A backend's name and a model's digest."""

# Buckets of latency: each 15 % longer than the one before, from a millisecond to 40 minutes.
SHORTEST = 0.001
PER_BUCKET = 1 / log(1.15)
BUCKETS = 106
# Requests are of three sizes, by the most tokens that they ask for: long answers take long everywhere.
SMALL, MIDDLE = 128, 512
SIZES = 3
# An estimate is read anew once a thirty-second of it is news, and after as many seconds.
STALE = 32
# Sums grow instead of being faded; past this they are all divided.
RESCALE = 1e9
# What is believed of who was never checked, and as how many checks that counts.
VERIFIED, VERIFIED_WEIGHT = 0.99, 4.0


class Latency(NamedTuple):
    """Seconds of whole answers, of `weight` of them."""

    weight: float
    p50: float
    p95: float


class Estimate(NamedTuple):
    """What was seen, as it counts now: `weight` calls that ended; None where nothing was seen.

    success, verified: shares of calls and of checks, 0 to 1. first: seconds to the first token. rate:
    tokens written per second after it. latency: of requests of each size (`size_of`).
    """

    weight: float
    success: float
    verified: float
    first: float | None = None
    rate: float | None = None
    latency: tuple[Latency | None, ...] = (None,) * SIZES

    @property
    def usual(self) -> Latency | None:
        """The latency of the size that was asked most."""
        return max(
            (each for each in self.latency if each is not None),
            key=lambda each: each.weight,
            default=None,
        )

    def seconds(self, tokens: float) -> float | None:
        """Return how long an answer of so many tokens takes, stretched by the tail: see docs."""
        usual = self.usual
        if self.rate is None or usual is None:
            return None
        return ((self.first or 0.0) + tokens / self.rate) * (1 + usual.p95 / usual.p50) / 2


class Series:
    """One backend's observations of one model, its breaker, its trust, and its calls under way."""

    __slots__ = (
        "_at",
        "_buckets",
        "_estimate",
        "_firsts",
        "_gain",
        "_growth",
        "_half_life",
        "_news",
        "_read_at",
        "_sums",
        "breaker",
        "in_flight",
        "key",
        "trust",
    )

    def __init__(self, key: Key, tuning: Tuning, clock: Callable[[], float]) -> None:
        self.key = key
        self.breaker = Breaker()
        self.trust = Trust(clock)
        self.in_flight = 0
        self._half_life = tuning.half_life
        self._growth = 2 ** (1 / tuning.memory)
        self._gain = 1.0
        now = self._at = clock()
        # good, failed, verified, not verified, answers, tokens, seconds of writing
        self._sums = [0.0] * 7
        self._firsts = [0.0, 0.0]  # how many first tokens were timed, and their seconds
        self._buckets = [[0.0] * BUCKETS for _ in range(SIZES)]
        self._estimate: Estimate | None = None
        self._news, self._read_at = 0, now

    def held(self, now: float) -> bool:
        """Whether no call may go there now."""
        return self.trust.reason != "" or self.breaker.blocked_until > now

    def answered(self, answer: Answer, size: int, seconds: float, now: float) -> None:
        """Count an answer to a request of a size that took so many seconds."""
        gain, sums = self._observe(now), self._sums
        sums[0] += gain
        first = answer.times.first
        if first is not None:
            self._firsts[0] += gain
            self._firsts[1] += gain * first
        tokens = max(1, answer.usage.completion)
        sums[4] += gain
        sums[5] += gain * tokens
        sums[6] += gain * max(1e-6, seconds - (first or 0.0))
        self._buckets[size][_bucket(seconds)] += gain

    def failed(self, now: float) -> None:
        """Count a failure."""
        self._sums[1] += self._observe(now)

    def outrun(self, size: int, seconds: float, now: float) -> None:
        """Count a call that was cancelled after so many seconds: it would have taken longer."""
        self._buckets[size][_bucket(2 * seconds)] += self._observe(now)

    def verified(self, ok: bool, now: float) -> None:
        """Count a check of an answer."""
        self._sums[2 if ok else 3] += self._observe(now)

    def estimate(self, now: float) -> Estimate:
        """Return what is believed; it is read anew once a thirty-second of what is behind it is news."""
        found = self._estimate
        if found is None or self._news * STALE > found.weight or now > self._read_at + STALE:
            found = self._estimate = self._read(now)
            self._news, self._read_at = 0, now
        return found

    def _read(self, now: float) -> Estimate:
        # Seen from now, an observation of weight `gain` counts as one.
        one = self._gain * 2 ** ((now - self._at) / self._half_life)
        good, failed, right, wrong, answers, tokens, writing = (each / one for each in self._sums)
        checks = right + wrong + VERIFIED_WEIGHT
        timed, firsts = self._firsts
        return Estimate(
            weight=good + failed,
            success=good / (good + failed) if good + failed else 1.0,
            verified=(right + VERIFIED * VERIFIED_WEIGHT) / checks,
            first=firsts / timed if timed else None,
            rate=tokens / writing if answers else None,
            latency=tuple(_latency(each, one) for each in self._buckets),
        )

    def _observe(self, now: float) -> float:
        """Return what an observation of now weighs: more than all before it."""
        self._gain *= self._growth * 2 ** ((now - self._at) / self._half_life)
        self._at = now
        self._news += 1
        if self._gain > RESCALE:
            for part in (self._sums, self._firsts, *self._buckets):
                part[:] = [each / self._gain for each in part]
            self._gain = 1.0
        return self._gain


class Measurements:
    """All series, by the backend's name and the model's digest of 32 bytes."""

    def __init__(self, tuning: Tuning, clock: Callable[[], float]) -> None:
        self._tuning = tuning
        self._clock = clock
        self._series: dict[Key, Series] = {}

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def of(self, backend: str, model: bytes) -> Series:
        """Return a series, an empty one where nothing was observed."""
        key = (backend, model)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series(key, self._tuning, self._clock)
        return found


def _bucket(seconds: float) -> int:
    return min(BUCKETS - 1, int(log(max(seconds, SHORTEST) / SHORTEST) * PER_BUCKET))


def _latency(buckets: list[float], one: float) -> Latency | None:
    whole = sum(buckets)
    if not whole:
        return None
    return Latency(whole / one, _quantile(buckets, whole / 2), _quantile(buckets, whole * 0.95))


def _quantile(buckets: list[float], left: float) -> float:
    """Return the middle of the bucket in which so much weight is reached: within 7 %."""
    for at, weight in enumerate(buckets):
        left -= weight
        if left <= 0:
            return float(SHORTEST * 1.15 ** (at + 0.5))
    return float(SHORTEST * 1.15**BUCKETS)


def size_of(max_tokens: int) -> int:
    """Return a request's size: 0, 1 or 2."""
    return (max_tokens > SMALL) + (max_tokens > MIDDLE)
