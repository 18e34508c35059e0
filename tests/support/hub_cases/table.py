"""The hub's rules as one table: what every hub rejects, and what it must accept at the very bound.

Each case acts on a hub's client and on nothing else, so that a hub on another VM runs the same
table behind a client of its own. A rejection's reason is the EVM contract's text, empty where the
ABI's own bounds reject; another VM maps its error codes to it. The committee has four members,
three of whom must sign.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Act = Callable[[Any], object]

__all__ = ["Case", "Cases"]


@dataclass(frozen=True)
class Case:
    """One rule: the act breaks it and is rejected for the reason, or keeps it (no reason)."""

    name: str
    reason: str | None
    act: Act


class Cases(list[Case]):
    """The cases of one part of the hub."""

    def rejected(self, reason: str, name: str) -> Callable[[Act], Act]:
        """The last thing that the act does must be rejected for this reason."""
        return self._add(name, reason)

    def accepted(self, name: str) -> Callable[[Act], Act]:
        """The act must succeed."""
        return self._add(name, None)

    def _add(self, name: str, reason: str | None) -> Callable[[Act], Act]:
        def add(act: Act) -> Act:
            self.append(Case(name, reason, act))
            return act

        return add
