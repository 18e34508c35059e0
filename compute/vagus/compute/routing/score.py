"""The score: one product of five parts, each 0 to 1. docs/routing.md explains it to operators.

    score = price^2 · success^4 · latency^1 · verified^4 · capacity^0.25

The exponents are `Weights`. Two candidates compare by the ratio of their scores, so units cancel.
"""

from math import exp
from typing import NamedTuple

from vagus.compute.routing.tuning import Weights

__all__ = ["Parts", "latency_part", "price_part", "score"]

# What is added to each cost, as a share of the median: who is free is not better without end.
COST_FLOOR = 0.02
# Who takes so many seconds longer is worth 1/e of it: by the second, since that is what callers wait.
PATIENCE = 8.0


class Parts(NamedTuple):
    """price: the cheapest candidate's cost by this one's. latency: 1/e for each eight seconds over the fastest.

    success, verified: shares of calls and of checks. capacity: the share of its slots that is free.
    """

    price: float
    success: float
    latency: float
    verified: float
    capacity: float


def price_part(cost: float, cheapest: float, median: float) -> float:
    """Return the price's part; costs are of the same request."""
    floor = COST_FLOOR * median
    return (cheapest + floor) / (cost + floor) if cost + floor else 1.0


def latency_part(seconds: float, fastest: float) -> float:
    """Return the latency's part."""
    return exp((fastest - seconds) / PATIENCE)


def score(parts: Parts, weights: Weights) -> float:
    """Return the product."""
    return float(
        parts.price**weights.price
        * parts.success**weights.success
        * parts.latency**weights.latency
        * parts.verified**weights.verified
        * parts.capacity**weights.capacity
    )
