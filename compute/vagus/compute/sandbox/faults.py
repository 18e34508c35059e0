"""What goes wrong in a sandbox, switched on by a test: errors, delays, cut connections, half done work."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Fault", "Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with calls whose path has a match for `path`, of one method or of any.

    delay: seconds before anything is done, with after_work before the answer. status: the answer instead
    of the right one, with message and headers; after_work: once the work was done all the same. hang_up: the
    connection is cut instead of an answer, before or after the work. times: how often, None for ever;
    skip: such calls that it lets pass before the first. share: of the rest, spread evenly.
    """

    path: str = ""
    method: str | None = None
    delay: float = 0.0
    status: int | None = None
    message: str = "the sandbox was told to fail"
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_work: bool = False
    hang_up: bool = False
    times: int | None = None
    skip: int = 0
    share: float = 1.0


class Faults:
    """The faults that are switched on; the first that is meant for a call happens to it."""

    def __init__(self) -> None:
        self._on: list[_Switched] = []

    def add(self, **fault: Any) -> Fault:
        """Switch a `Fault` of these fields on, and return it."""
        made = Fault(**fault)
        self._on.append(_Switched(made, made.times, made.skip))
        return made

    def disappear(self, path: str = "") -> Fault:
        """Hang up on every call from now on, as a machine does that is gone."""
        return self.add(path=path, hang_up=True)

    def clear(self) -> None:
        """Switch all of them off."""
        self._on.clear()

    def left(self, fault: Fault) -> bool:
        """Say whether a fault that was switched on may still happen."""
        return any(each.fault is fault and each.left != 0 for each in self._on)

    def take(self, method: str, path: str) -> Fault | None:
        """Return what is to happen to this call, and count it."""
        for each in self._on:
            fault = each.fault
            if each.left != 0 and fault.method in {None, method} and re.search(fault.path, path):
                if each.skip:
                    each.skip -= 1
                    continue
                each.due += fault.share
                if each.due < 1:
                    continue
                each.due -= 1
                if each.left is not None:
                    each.left -= 1
                return fault
        return None


@dataclass(slots=True)
class _Switched:
    fault: Fault
    left: int | None
    skip: int
    due: float = 0.0
