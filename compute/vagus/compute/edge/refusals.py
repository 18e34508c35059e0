"""Who has said no to which request: one worker's word alone does not end what others may answer."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from vagus.compute.edge import bodies

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from vagus.compute.base import Completion

__all__ = ["Refusals"]

# Requests remembered: the oldest are forgotten first.
MAX_KEPT = 1024


class Refusals:
    """The workers, by address, that said that a request fails at them each time.

    agree: so many of them are believed.
    """

    def __init__(self, agree: int) -> None:
        self._agree = agree
        self._said: OrderedDict[bytes, set[bytes]] = OrderedDict()

    def note(self, request: Completion, worker: bytes) -> bool:
        """Remember a worker's no; return whether enough have said it."""
        said = self._said.setdefault(_digest(request), set())
        said.add(worker)
        if len(self._said) > MAX_KEPT:
            self._said.popitem(last=False)
        return len(said) >= self._agree

    def of(self, request: Completion) -> AbstractSet[bytes]:
        """Return who has said no to a request."""
        return self._said.get(_digest(request), frozenset()) if self._said else frozenset()


def _digest(request: Completion) -> bytes:
    return hashlib.sha256(bodies.encode(request)).digest()
