"""What passes through the fault proxy: an exchange, and the reply to it."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Bend", "End", "Exchange", "Reply", "Request", "Via"]

Request: TypeAlias = "dict[str, Any]"
"""A JSON-RPC request: `method`, `params`, and `id` unless it is a notification."""

Bend: TypeAlias = "Callable[[Request, dict[str, Any]], dict[str, Any]]"
"""Makes another answer of a request and its JSON-RPC answer; both are the bend's own to change."""

Via = Literal["http", "handshake", "message"]
"""An HTTP request, the opening of a websocket, or one message of a node on an open one."""


class End(enum.Enum):
    """How a reply ends: whole, half of it, without a word, or never."""

    WHOLE = enum.auto()
    HALF = enum.auto()
    CUT = enum.auto()
    ENDLESS = enum.auto()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One thing that a client asks of a node, or that a node tells a client.

    `number` counts the exchanges of its kind from 0 on, per proxy. `requests` are those that the
    reply answers: one, several in a batch, none for a subscription's news and for a handshake.
    """

    via: Via
    number: int
    requests: tuple[Request, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are called."""
        return tuple(str(request.get("method", "")) for request in self.requests)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response, or a websocket's message (whose status is 200); `end` is how it ends.

    `broken` bodies are no JSON, and nothing tries to read them: JSON that is deep enough ends a
    Python process whose recursion limit was raised, as web3's dependencies do.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    end: End = End.WHOLE
    broken: bool = False

    def bent(self, exchange: Exchange, bend: Bend) -> Reply:
        """Return the reply with each JSON-RPC answer in it bent; what is none stays as it is."""
        if self.broken:
            return self
        try:
            answers = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self
        if isinstance(answers, dict):
            found: Any = _bent(exchange, bend, answers)
        elif isinstance(answers, list):
            found = [_bent(exchange, bend, each) for each in answers]
        else:
            return self
        return dataclasses.replace(self, body=msgspec.json.encode(found))


def _bent(exchange: Exchange, bend: Bend, answer: Any) -> Any:
    for request in exchange.requests:
        if isinstance(answer, dict) and request.get("id") == answer.get("id"):
            return bend(request, answer)
    return answer
