"""The hub's rules as one table: what every hub rejects, and what it must do where it accepts.

Each case acts on a hub's client and on nothing else, so that a hub on another VM runs the same
table behind a client of its own (`on_evm`, `on_solana`, `on_cosmos`). A rejection's reason is the
EVM contract's text, empty where the ABI's own bounds reject; what another VM says instead is in its
dialect. A case finds a fresh hub, whose committee has four members, three of whom must sign.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.contracts import RevertError
from support.litesvm import FailedError

Act = Callable[[Any], Any]
Then = Callable[[Any, Any], None]

__all__ = ["Case", "Cases", "Dialect", "Difference", "judge"]


@dataclass(frozen=True)
class Case:
    """One rule: the act breaks it and is rejected for the reason, or keeps it (no reason)."""

    name: str
    reason: str | None
    act: Act
    then: Then | None = None
    """Finds in the hub's views what an accepted act did; it is handed what the act answered."""


class Cases(list[Case]):
    """The cases of one part of the hub."""

    def rejected(self, reason: str, name: str, then: Then | None = None) -> Callable[[Act], Act]:
        """The last thing that the act does must be rejected for this reason."""
        return self._add(name, reason, then)

    def accepted(self, name: str, then: Then | None = None) -> Callable[[Act], Act]:
        """The act must succeed, and `then` must find what it did."""
        return self._add(name, None, then)

    def _add(self, name: str, reason: str | None, then: Then | None) -> Callable[[Act], Act]:
        def add(act: Act) -> Act:
            self.append(Case(name, reason, act, then))
            return act

        return add


@dataclass(frozen=True)
class Difference:
    """Why a rule is another one on a chain."""

    why: str
    reason: str | None = None
    """What is said there, or a part of it; None where it is accepted there."""


@dataclass(frozen=True)
class Dialect:
    """How one chain's hub differs from the EVM's."""

    bounds: dict[str, str] = field(default_factory=dict)
    """By case: the reason for what the EVM's ABI rejects without a word."""
    different: dict[str, Difference] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """By case: why nobody can try it on this chain."""


def judge(case: Case, hub: Any, dialect: Dialect) -> None:
    """Try a case on a fresh hub."""
    difference = dialect.different.get(case.name)
    expected = difference.reason if difference else dialect.bounds.get(case.name, case.reason)
    if expected is None:
        made = case.act(hub)
        if case.then:
            case.then(hub, made)
        return
    try:
        case.act(hub)
    except RevertError as error:
        said = error.reason
    except FailedError as error:
        said = error.text
    else:
        raise AssertionError(f"{case.name} was accepted, not rejected: {expected}")
    # A difference may be in a node's words, which go on.
    assert said == expected or (difference and expected in said)
