"""The contract of a transport: it carries a committee's envelopes, unread, to all members.

Nothing is promised but bounds: frames may be lost, doubled, late, out of order, or from strangers.
Members send again what matters and check who signed what they get.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vagus.compute.mqtt import Traffic
from vagus.protocol.limits import MAX_ENVELOPE

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["MAX_FRAME", "Topic", "Traffic", "Transport"]

MAX_FRAME = MAX_ENVELOPE
"""Bytes of one envelope with all that is in it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Where an envelope belongs; intent is zero for heartbeats, hellos, reports and rotations.

    network and intent: 32 bytes. sender: the 20 bytes of a member's signer.
    """

    network: bytes
    sender: bytes
    epoch: int
    intent: bytes


class Transport(abc.ABC):
    """One way to the other members, used as `async with`.

    What is away is no error: a transport connects again by itself, for ever, and logs that once an
    outage. Entering raises Refuse where the config is of no use.
    """

    name: str
    """What logs and metrics call it; no secret."""

    traffic: Traffic
    """What went through it: frames sent, received, dropped by reason, and reconnects."""

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether anyone can be reached now."""

    @abc.abstractmethod
    async def until_connected(self) -> None:
        """Wait until someone can be reached."""

    @abc.abstractmethod
    def send(self, frame: bytes, topic: Topic) -> None:
        """Send to all others, at once or when they can be reached. Never blocks, never raises.

        What does not fit is dropped, the oldest first, and counted; so is a frame over MAX_FRAME.
        """

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Wait for the next frame, from anyone, of at most MAX_FRAME bytes; it may be one's own."""

    @abc.abstractmethod
    async def __aenter__(self) -> Self: ...

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
