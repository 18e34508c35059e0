"""Who is asked next, and how long it gets."""

from collections.abc import Callable, Sequence
from math import inf

from vagus.compute.base import Backend, Model
from vagus.compute.routing.allowance import SAVED, Allowance
from vagus.compute.routing.call import Call
from vagus.compute.routing.measure import SIZES, Measurements, Series
from vagus.compute.routing.pool import Candidate, Pool
from vagus.compute.routing.tuning import Tuning

__all__ = ["TRUSTED", "Chooser"]

# Where another can step in, a stranger or a probe gets so many times as long as the fastest backend
# takes, or as half of its own answers took, and a second at least.
FASTEST, OWN, LEAST = 4.0, 2.0, 1.0
# Others get so many times their p95, once so many answers have shown it; until then, or where that is
# more, half of what is left.
SLOWEST, TRUSTED = 3.0, 10.0
# Who is alone gets so many seconds at least: only a call that hangs is worth asking again there.
ALONE = 5.0
# What a stranger may be dearer than the best, at most, to be tried at all.
EXPLORED_DEARER = 2.0
# Sets of backends that are remembered, each for each size of request.
POOLS = 64 * SIZES


class Chooser:
    """Chooses among the backends of a call; `explores` says how many calls may try a stranger."""

    def __init__(
        self,
        measurements: Measurements,
        tripped: dict[Series, None],
        tuning: Tuning,
        clock: Callable[[], float],
    ) -> None:
        self.explores = Allowance(tuning.explore, SAVED if tuning.explore else 0.0)
        self._measurements = measurements
        self._tripped = tripped
        self._tuning = tuning
        self._clock = clock
        self._pools: dict[tuple[Model, tuple[Backend, ...], int], Pool] = {}

    def pool(self, model: Model, backends: Sequence[Backend], size: int) -> Pool:
        """Return the backends of a model, ranked for requests of a size."""
        key = (model, tuple(backends), size)
        found = self._pools.get(key)
        if found is None:
            found = Pool(model, key[1], self._measurements, self._tuning)
            self._pools[key] = found
            if len(self._pools) > POOLS:
                del self._pools[next(iter(self._pools))]
        found.rank(self._clock())
        return found

    def next(self, call: Call) -> Candidate | None:
        """Return who is asked next: at first a probe or a stranger, where one is due."""
        if call.over:
            return None
        now, pool = self._clock(), call.pool
        best = pool.pick(now, call.skip, call.fits)
        if best is None and call.crowd():
            best = pool.pick(now, call.skip, call.fits)
        if best is None and call.patient:
            return pool.last_resort(now, call.skip, call.fits)
        if best is None or call.asked:
            return best
        return self._probe(call, now) or self._stranger(call, best, now) or best

    def _probe(self, call: Call, now: float) -> Candidate | None:
        """Return a candidate whose breaker waits to be tried, while another one can step in."""
        for series in self._tripped:
            found = call.pool.of(series)
            if found is not None and not series.held(now) and call.fits(found):
                return found if call.alternatives(found) else None
        return None

    def _stranger(self, call: Call, best: Candidate, now: float) -> Candidate | None:
        """Return a candidate of which little is known, and not much dearer, now and then."""
        if not call.pool.unknown or not self.explores.enough:
            return None
        for each in call.pool.unknown:
            near = each.parts.price * EXPLORED_DEARER >= best.parts.price
            if each is not best and near and not each.series.held(now) and call.fits(each):
                self.explores.take()
                return each
        return None

    def patience(self, call: Call, chosen: Candidate) -> float:
        """Return how many seconds a try gets: what is left, or less where there is another to come."""
        left, others = call.left, call.alternatives(chosen)
        found = chosen.series.estimate(self._clock()).latency[call.size]
        if others and (chosen.series.breaker.open or chosen in call.pool.unknown):
            own = OWN * found.p50 if found is not None else 0.0
            return min(left / 2, max(LEAST, FASTEST * call.pool.fastest, own))
        hung = inf
        if found is not None and found.weight >= TRUSTED:
            hung = max(LEAST if others else ALONE, SLOWEST * found.p95)
        if hung < left / 2 and (others or call.bears_again(chosen)):
            return hung
        if not others:
            return left
        return max(left / 2, min(left, OWN * found.p95 if found is not None else 0.0))
