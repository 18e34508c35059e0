"""What an author gives the kit, and the clock by which it all runs."""

import mmap
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from vagus.compute.leases.api import Api
from vagus.compute.leases.base import Provisioner, Want
from vagus.compute.sandbox.rental import RentalSandbox

__all__ = ["Account", "Clock", "Rental", "SharedClock"]


class Clock:
    """Time that a test moves: it stands in for `time.time`, of the sandbox too."""

    def __init__(self, now: float | None = None) -> None:
        self._now = time.time() if now is None else now

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._now

    @now.setter
    def now(self, seconds: float) -> None:
        self._now = seconds

    def __call__(self) -> float:
        """Return what time it is, as Unix seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class SharedClock(Clock):
    """One time for several processes, kept in a file: what one of them moves, moves for all, killed or not."""

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        if new:
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._room = mmap.mmap(file.fileno(), 8)
        if new:
            self.now = time.time()

    @property
    def now(self) -> float:
        """Unix seconds."""
        (found,) = struct.unpack("d", self._room[:])
        return float(found)

    @now.setter
    def now(self, seconds: float) -> None:
        self._room[:] = struct.pack("d", seconds)


@dataclass(frozen=True, kw_only=True)
class Account:
    """How a provisioner for an account is made, and what may be wanted of it.

    make: returns a provisioner that is not yet entered. It is pickled for the processes that are
    killed: a class or a function of a module, or `functools.partial` of one. want: for an hour, whose
    price in the sandbox is half of max_hourly or more. model: what the container's server calls its model. calls: the
    methods, by class and name, each call of which is one request to the network; where they do not
    surround all of them, a test says so.
    """

    make: Callable[[], Provisioner]
    want: Want
    model: str
    calls: tuple[tuple[type, str], ...] = ((Api, "call"),)

    def changed(self) -> Self:
        """Return it with another machine wanted, as after a change of the config."""
        container = self.want.container
        env = {**container.env, "CHANGED": "yes"}
        return replace(self, want=replace(self.want, container=replace(container, env=env)))


@dataclass(frozen=True, kw_only=True)
class Rental(Account):
    """An account, and the sandbox that runs beside it.

    around: patterns of requests, method and path, that a lease's life must make, and so is killed before
    and after; what buys time and what ends it belongs there.
    """

    sandbox: RentalSandbox
    around: tuple[str, ...] = ()

    def labels(self) -> list[str]:
        """Return the labels of all that is rented, one that two machines have twice."""
        return list(self.sandbox.rented().values())
