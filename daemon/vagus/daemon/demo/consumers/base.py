"""What the demo does with a consumer, whatever chain it is on."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Consumer", "Place"]


class Place(Protocol):
    """A running chain with a hub, which a consumer is deployed to."""

    @property
    def caip2(self) -> str:
        """The chain's CAIP-2 id."""
        ...

    @property
    def rpc(self) -> str:
        """The URL of its RPC."""
        ...

    @property
    def hub(self) -> str:
        """Its hub, as CAIP-10."""
        ...

    @property
    def secret(self) -> bytes:
        """The 32 bytes of a key that has money there."""
        ...


class Consumer(abc.ABC):
    """One consumer: `word` is its packed address. `keeps_all` is False where it keeps its newest answer alone."""

    keeps_all: ClassVar[bool] = True

    def __init__(self, word: bytes) -> None:
        self.word = word

    @abc.abstractmethod
    async def allow(self, askers: Sequence[tuple[bytes, bytes]]) -> None:
        """Let it take answers to the questions of these: an origin hub's id and a requester each."""

    @abc.abstractmethod
    async def answers(self, intent_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the answers that it has stored, by the intents of these."""
