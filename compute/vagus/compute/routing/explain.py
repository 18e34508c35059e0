"""A choice in words and numbers: the candidates as they are ranked now, and why the others fell out."""

from collections.abc import Sequence
from typing import NamedTuple

from vagus.compute.base import Backend, Model
from vagus.compute.price import Price
from vagus.compute.routing.measure import Estimate
from vagus.compute.routing.router import Router
from vagus.compute.routing.score import Parts, score

__all__ = ["Explained", "explain"]


class Explained(NamedTuple):
    """One backend of a model. `why` says why it is not asked now, and is empty where it is.

    state: of its breaker, `closed`, `open` or `half-open`, or `quarantined`. price: None where it is
    not known. in_flight: calls under way, of `slots`.
    """

    backend: Backend
    score: float
    parts: Parts
    price: Price | None
    seen: Estimate
    state: str
    why: str
    in_flight: int
    slots: int


def explain(router: Router, model: Model, backends: Sequence[Backend]) -> tuple[Explained, ...]:
    """Return a model's backends, the best first; those that are not asked now come last."""
    now, pool = router.clock(), router.pool(model, tuple(backends))
    pool.rank(now, anew=True)
    found = []
    for each in pool.ranking:
        series = each.series
        parts = each.parts._replace(capacity=each.free)
        state, why = series.breaker.state, ""
        if series.trust.reason:
            state, why = "quarantined", series.trust.reason
        elif series.breaker.blocked_until > now:
            why = series.breaker.reason or "its breaker is open"
        worth = score(parts, router.tuning.weights)
        found.append(
            Explained(
                each.backend,
                worth,
                parts,
                each.price,
                each.estimate,
                state,
                why,
                series.in_flight,
                each.backend.slots,
            )
        )
    found.sort(key=lambda each: (each.why != "", -each.score))
    for each, why in pool.out:
        unpriced = Explained(
            each.backend,
            0.0,
            each.parts,
            None,
            each.series.estimate(now),
            each.series.breaker.state,
            why,
            each.series.in_flight,
            each.backend.slots,
        )
        found.append(unpriced)
    return tuple(found)
