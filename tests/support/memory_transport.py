"""A transport between members of one process, whose links drop, double, delay and part by a seed."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from vagus.compute.lossy import LossyQueue
from vagus.daemon.committee.transport import MAX_FRAME, Topic, Traffic, Transport

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MemoryHub", "MemoryTransport"]


class MemoryHub:
    """What all members are connected to. Frames overtake each other where there is a `delay`.

    drop, double: how likely each is, for every frame and hearer. delay: seconds, at most. What
    happens to a frame depends on the seed and on how many frames went before, and on no clock.
    """

    def __init__(
        self, seed: int, *, drop: float = 0.0, double: float = 0.0, delay: float = 0.0
    ) -> None:
        self.drop, self.double, self.delay = drop, double, delay
        self._chance = random.Random(seed)
        self._members: dict[str, MemoryTransport] = {}
        self._parts: list[frozenset[str]] = []

    def member(self, name: str) -> MemoryTransport:
        """A transport of the member, of whom there is one at a time."""
        return MemoryTransport(self, name)

    def part(self, *groups: Iterable[str]) -> None:
        """Let nothing pass between groups; who is in none of them hears nobody."""
        self._parts = [frozenset(group) for group in groups]

    def heal(self) -> None:
        """Let all hear all again."""
        self._parts = []

    def enter(self, member: MemoryTransport) -> None:
        self._members[member.name] = member

    def leave(self, member: MemoryTransport) -> None:
        if self._members.get(member.name) is member:
            del self._members[member.name]

    def carry(self, sender: str, frame: bytes) -> None:
        for name in sorted(self._members):
            if name == sender or not self.linked(sender, name):
                continue
            for _ in range(1 + (self._chance.random() < self.double)):
                if self._chance.random() >= self.drop:
                    self._deliver(name, frame, self.delay * self._chance.random())

    def linked(self, a: str, b: str) -> bool:
        return not self._parts or any({a, b} <= part for part in self._parts)

    def _deliver(self, name: str, frame: bytes, delay: float) -> None:
        def arrive() -> None:
            if name in self._members:  # it may have left meanwhile
                self._members[name].take(frame)

        if delay:
            asyncio.get_running_loop().call_later(delay, arrive)
        else:
            asyncio.get_running_loop().call_soon(arrive)


class MemoryTransport(Transport):
    """One member's end of a hub."""

    def __init__(self, hub: MemoryHub, name: str) -> None:
        self.name = name
        self.traffic = Traffic()
        self._hub = hub
        self._inbox = LossyQueue[bytes](1024, 4 << 20)

    @property
    @override
    def connected(self) -> bool:
        return any(
            other != self.name and self._hub.linked(self.name, other)
            for other in self._hub._members
        )

    @override
    async def until_connected(self) -> None:
        while not self.connected:
            await asyncio.sleep(0.001)

    @override
    def send(self, frame: bytes, topic: Topic) -> None:
        if len(frame) > MAX_FRAME:
            self.traffic.dropped["oversized"] += 1
            return
        self.traffic.sent += 1
        self._hub.carry(self.name, frame)

    @override
    async def receive(self) -> bytes:
        return await self._inbox.get()

    def take(self, frame: bytes) -> None:
        """Receive a frame from the hub."""
        self.traffic.received += 1
        self.traffic.dropped["inbox full"] += self._inbox.put(frame, len(frame))

    @override
    async def __aenter__(self) -> Self:
        self._hub.enter(self)
        return self

    @override
    async def __aexit__(self, *_: object) -> None:
        self._hub.leave(self)
