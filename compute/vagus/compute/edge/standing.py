"""What a node knows of its workers: what each said last, and what it is asked now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.compute.base import Model
    from vagus.compute.edge.bodies import Offer, Offered

__all__ = ["Standing", "Workers"]

SILENT = 16.0
"""Seconds after which a worker that says nothing is away: three offers that did not come."""

DOUBT = 10.0
"""Seconds for which others are asked before a worker that failed: longer than a call's tries take."""

# Models remembered: a worker that makes up names fills no memory.
MAX_KNOWN = 4096


@dataclass(slots=True, eq=False)
class Standing:
    """One worker. number: of its newest offer; asked: requests of this node under way at it.

    others: its slots that somebody else has, as its newest offer says.
    heard, busy_until and doubted_until are times of the loop's clock: of its newest offer, before which
    it is not to be asked again, and before which others are asked first.
    """

    address: bytes
    offer: Offer | None = None
    models: dict[Model, Offered] = field(default_factory=dict)
    number: int = 0
    heard: float = float("-inf")
    asked: int = 0
    others: int = 0
    used: float = 0.0
    busy_until: float = 0.0
    doubted_until: float = 0.0

    @property
    def name(self) -> str:
        """The worker's address as it is written."""
        return f"0x{self.address.hex()}"

    @property
    def alive(self) -> bool:
        """Whether it was heard of lately."""
        return _now() - self.heard < SILENT

    @property
    def present(self) -> bool:
        """Whether it is alive and has something: one that stops has nothing any more."""
        return bool(self.models) and self.alive

    @property
    def busy(self) -> bool:
        """Whether it has just said no."""
        return _now() < self.busy_until

    @property
    def full(self) -> bool:
        """Whether this node has asked it for as much as it does at once."""
        return self.offer is None or self.asked >= self.offer.slots

    @property
    def room(self) -> int:
        """How many calls it takes of this node at once, by what it says."""
        return 0 if self.offer is None or self.busy else self.offer.slots - self.others

    def turn(self, model: Model) -> tuple[bool, bool, Decimal, int, float]:
        """The least is asked first: who is not doubted, has room and is cheap, and is asked least.

        What a worker says of its load counts only where it says that others have all of it.
        """
        price = sum(self.models[model].usd, Decimal(0))
        return _now() < self.doubted_until, not self.room, price, self.asked, self.used

    def doubt(self) -> None:
        """Let others be asked first for a while: it did not do what it was asked."""
        self.doubted_until = _now() + DOUBT


class Workers:
    """The trusted workers of a backend; `most` is the price, input and output, that is paid at most."""

    def __init__(self, addresses: Iterable[bytes], most: tuple[Decimal, Decimal]) -> None:
        self.by_address = {each: Standing(each) for each in addresses}
        self._most = most
        # Every model that was ever offered: who is away may come back.
        self._known: set[Model] = set()

    def take(self, worker: Standing, number: int, offer: Offer) -> bool:
        """Take a worker's newest offer, where it is that; return whether the worker was started anew."""
        if number <= worker.number:
            return False
        anew = worker.offer is not None and worker.offer.session != offer.session
        models = {
            each.model: each
            for each in offer.models
            if all(asked <= most for asked, most in zip(each.usd, self._most, strict=True))
        }
        worker.offer, worker.models, worker.number, worker.heard = offer, models, number, _now()
        worker.others = max(0, offer.slots - offer.free - worker.asked)
        if len(self._known) < MAX_KNOWN:
            self._known.update(models)
        return anew

    def models(self) -> tuple[Model, ...]:
        """Return what the workers that are there serve."""
        return tuple({model: None for each in self._present() for model in each.models})

    def serving(self, model: Model) -> list[Standing]:
        """Return the workers that are there and serve a model, whose turn it is first."""
        found = [each for each in self._present() if model in each.models]
        return sorted(found, key=lambda each: each.turn(model))

    def room(self) -> int:
        """Return how many calls they take of this node at once, all together."""
        return sum(each.room for each in self._present())

    def knows(self, model: Model) -> bool:
        """Whether a worker has ever served it."""
        return model in self._known

    def absent(self) -> list[Standing]:
        """Return the workers that are not there."""
        return [each for each in self.by_address.values() if not each.present]

    def _present(self) -> list[Standing]:
        return [each for each in self.by_address.values() if each.present]


def _now() -> float:
    return asyncio.get_running_loop().time()
