"""The backends that a call of some size may choose among, ranked; ranking is done now and then, not per call.

A ranking is as old as a millisecond for each backend in it, so that ranking costs the same share of
a processor however many there are. What may change faster is looked at in each call: breakers,
quarantine, calls under way, the price.
"""

from collections.abc import Callable, Collection, Iterator
from statistics import median

from vagus.compute.base import Backend, Model
from vagus.compute.price import Price, Usage
from vagus.compute.routing.measure import Estimate, Measurements, Series
from vagus.compute.routing.score import Parts, latency_part, price_part, score
from vagus.compute.routing.tuning import Tuning
from vagus.protocol import Refuse, Retry

__all__ = ["EXPLORED", "Candidate", "Pool"]

# Seconds that a ranking is good for, per backend in it.
GOOD_FOR = 0.001
# Observations after which a backend counts as known: three, of which the first has faded a little.
EXPLORED = 2.5
# As many observations counts what all backends together show: of how often one answers, of how fast.
SUCCESS_WEIGHT, LATENCY_WEIGHT = 4.0, 1.0
# What is taken for it where nothing was seen at all.
SUCCESS, SECONDS = 0.95, 1.0
# Tokens of a request, until one was seen.
PROMPT, COMPLETION = 300.0, 100.0
# How fast the usual request follows the last ones: it is about the mean of so many, inverted.
FOLLOW = 1 / 64


class Candidate:
    """A backend in a ranking. `parts` are as if it were idle; `cost` is a typical request's."""

    __slots__ = ("backend", "context", "cost", "estimate", "parts", "price", "score", "series")

    def __init__(self, backend: Backend, series: Series) -> None:
        self.backend = backend
        self.series = series
        self.price = Price()
        self.cost = self.score = 0.0
        self.context: int | None = None
        self.parts = Parts(1, 1, 1, 1, 1)
        self.estimate = Estimate(0, 1, 1)

    @property
    def free(self) -> float:
        """The share of its slots that is free, 0 to 1."""
        slots = self.backend.slots
        return max(0.0, 1 - self.series.in_flight / slots) if slots else 0.0


class Pool:
    """One model's backends, as a caller hands them in, for requests of one size.

    learned: how many requests it took in.
    """

    def __init__(
        self,
        model: Model,
        backends: tuple[Backend, ...],
        measurements: Measurements,
        tuning: Tuning,
    ) -> None:
        self.model = model
        self.backends = backends
        self._tuning = tuning
        self._all = [Candidate(each, measurements.of(each.name, model.digest)) for each in backends]
        self._of = {each.series: each for each in self._all}
        self._ranked_at = float("-inf")
        self._prompt, self._completion = PROMPT, COMPLETION
        self.learned = 0
        self.ranking: list[Candidate] = []
        self.unknown: list[Candidate] = []
        self.out: list[tuple[Candidate, str]] = []
        self.fastest = SECONDS

    def learn(self, usage: Usage) -> None:
        """Take in what a request had, so that costs and seconds are those of the usual one of its size."""
        self.learned += 1
        step = max(FOLLOW, 1 / self.learned)
        self._prompt += (usage.prompt - self._prompt) * step
        self._completion += (usage.completion - self._completion) * step

    def of(self, series: Series) -> Candidate | None:
        """Return the candidate of a series; None where it is not of this pool."""
        return self._of.get(series)

    def rank(self, now: float, *, anew: bool = False) -> None:
        """Rank, where the ranking is too old, or in any case."""
        if not anew and now - self._ranked_at < GOOD_FOR * len(self._all):
            return
        self._ranked_at = now
        self.out = []
        kept = [each for each in self._all if self._priced(each)]
        if kept:
            self._score(kept, now)
        self.ranking = sorted(kept, key=lambda each: -each.score)
        known = any(each.estimate.weight >= EXPLORED for each in kept)
        strangers = (each for each in self.ranking if each.estimate.weight < EXPLORED)
        self.unknown = [] if not known else list(strangers)[: self._tuning.look]

    def pick(
        self, now: float, skip: Collection[Candidate], fits: Callable[[Candidate], bool]
    ) -> Candidate | None:
        """Return the best one that may be called now, of which `fits` holds; None for none.

        Who has no free slot comes last: there a call would wait.
        """
        weight, best, most, seen = self._tuning.weights.capacity, None, -1.0, 0
        full: Candidate | None = None
        for each in self.ranking:
            if each in skip or each.series.held(now):
                continue
            free = each.free
            if not free:
                full = full or (each if fits(each) else None)
                continue
            found = each.score * free**weight
            if found > most and fits(each):
                best, most = each, found
            seen += 1
            if seen == self._tuning.look and best is not None:
                break
        return best or full

    def last_resort(
        self, now: float, skip: Collection[Candidate], fits: Callable[[Candidate], bool]
    ) -> Candidate | None:
        """Return who is left where all breakers are open: one that does not ask to be left alone.

        A breaker spares a call the time of who fails; with nobody else there is nothing to spare.
        """
        left = (
            each
            for each in self.ranking
            if each not in skip
            and not each.series.trust.reason
            and each.series.breaker.paused_until <= now
            and fits(each)
        )
        return min(left, key=lambda each: each.series.breaker.blocked_until, default=None)

    def held(self, now: float) -> Iterator[Candidate]:
        """Yield those that may not be called now, but later."""
        for each in self.ranking:
            if not each.series.trust.reason and each.series.breaker.blocked_until > now:
                yield each

    def _priced(self, each: Candidate) -> bool:
        try:
            price = each.backend.price(self.model)
            each.context = each.backend.context(self.model)
        except (Retry, Refuse) as error:
            self.out.append((each, error.reason))
            return False
        each.price = price
        each.cost = float(price.input) * self._prompt + float(price.output) * self._completion
        return True

    def _score(self, kept: list[Candidate], now: float) -> None:
        for each in kept:
            each.estimate = each.series.estimate(now)
        shown = [each.estimate.seconds(self._completion) for each in kept]
        taken = _blended(
            [(seconds, each.estimate.weight) for seconds, each in zip(shown, kept, strict=True)],
            SECONDS,
            LATENCY_WEIGHT,
        )
        answered = _blended(
            [(each.estimate.success, each.estimate.weight) for each in kept],
            SUCCESS,
            SUCCESS_WEIGHT,
        )
        costs = [each.cost for each in kept]
        cheapest, middle = min(costs), median(costs)
        self.fastest = min((each for each in shown if each is not None), default=SECONDS)
        fastest = min(taken)
        for each, seconds, success in zip(kept, taken, answered, strict=True):
            each.parts = Parts(
                price_part(each.cost, cheapest, middle),
                success,
                latency_part(seconds, fastest),
                each.estimate.verified,
                1.0,
            )
            each.score = score(each.parts, self._tuning.weights)


def _blended(seen: list[tuple[float | None, float]], otherwise: float, least: float) -> list[float]:
    """Return what is believed of each: between what it showed and what all showed together.

    seen: a value and how many observations it is of. least: as how many the others' count.
    """
    total = sum(weight for value, weight in seen if value is not None)
    typical = otherwise
    if total:
        typical = sum(value * weight for value, weight in seen if value is not None) / total
    return [
        typical if value is None else (value * weight + typical * least) / (weight + least)
        for value, weight in seen
    ]
