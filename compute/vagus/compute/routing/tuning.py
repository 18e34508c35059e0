"""The router's few numbers. docs/routing.md says what each is for and how they were found."""

from dataclasses import dataclass, field

__all__ = ["Tuning", "Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """The exponents of a score's parts: with 4 and 2, who fails 5 % more must be 10 % cheaper."""

    price: float = 2.0
    success: float = 4.0
    latency: float = 1.0
    verified: float = 4.0
    capacity: float = 0.25


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the router measures, tries and holds back.

    half_life: seconds after which an observation counts half; memory: observations after which it
    does too, where they come fast. tries: of one call at most, hedges among them. hedges, explore:
    the most of all calls that are hedged, or tried on a backend of which little is known. look: of
    how many of the best the least busy one is taken.
    """

    weights: Weights = field(default_factory=Weights)
    half_life: float = 600.0
    memory: int = 100
    tries: int = 4
    hedges: float = 0.1
    explore: float = 0.01
    look: int = 8
