"""What a node and its network do wrong, as values: `proxy.faults = (Delay(0.1), Flap())`.

The first fault of a proxy is the nearest to the client. Faults combine: `Only(("eth_getLogs",),
Sometimes(0.5, Empty()))`. None of them looks at a clock or draws a number that another run would
not draw: which exchanges it strikes follows from their number, their methods and a seed.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vagus.adapters.conformance.exchange import Bend, End, Exchange, Reply, Request, Via
from vagus.adapters.conformance.malformed import malformed

__all__ = [
    "Both",
    "Delay",
    "Drop",
    "Empty",
    "Endless",
    "Error",
    "Every",
    "Fault",
    "Flap",
    "Further",
    "Garbage",
    "Half",
    "Lie",
    "Limited",
    "Malformed",
    "Only",
    "Over",
    "Shorten",
    "Silent",
    "Sometimes",
    "Stale",
    "Status",
]

Further: TypeAlias = Callable[[Exchange], Awaitable[Reply]]


class Fault(abc.ABC):
    """Something between a client and a node: passes an exchange further, or replies by itself."""

    @abc.abstractmethod
    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Return the reply; `further` asks the next fault, and in the end the node."""


# No answer, or a late one


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """The answer comes so many seconds later."""

    seconds: float

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Ask, then wait."""
        reply = await further(exchange)
        await asyncio.sleep(self.seconds)
        return reply


@dataclass(frozen=True, slots=True)
class Drop(Fault):
    """The connection is closed without a word, and the node was never asked."""

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Say nothing."""
        return Reply(end=End.CUT)


@dataclass(frozen=True, slots=True)
class Silent(Fault):
    """The connection is taken, and nothing ever comes."""

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Wait until the client leaves."""
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")


@dataclass(frozen=True, slots=True)
class Status(Fault):
    """An HTTP status in the node's place: 500, 502, 503 … A websocket's messages are cut."""

    status: int

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Answer with the status."""
        end = End.CUT if exchange.via == "message" else End.WHOLE
        return Reply(b"<html>no</html>", self.status, end=end)


@dataclass(frozen=True, slots=True)
class Limited(Fault):
    """HTTP 429 with Retry-After, in seconds: the client asks too often."""

    after: int = 1

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Answer with 429."""
        end = End.CUT if exchange.via == "message" else End.WHOLE
        return Reply(b"slow down", 429, {"Retry-After": str(self.after)}, end)


# What is no answer


@dataclass(frozen=True, slots=True)
class Half(Fault):
    """Half of the body comes, then the connection closes; of a message, half a frame."""

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Break the reply in the middle."""
        return dataclasses.replace(await further(exchange), end=End.HALF)


@dataclass(frozen=True, slots=True)
class Endless(Fault):
    """A body without an end; of a message, a frame of a terabyte."""

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Begin with the reply and never stop."""
        return dataclasses.replace(await further(exchange), end=End.ENDLESS)


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Random bytes, of the same length as the answer."""

    seed: int = 0

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Replace every byte."""
        reply = await further(exchange)
        source = random.Random(f"{self.seed}:{exchange.number}")  # noqa: S311 - the same in each run
        return dataclasses.replace(reply, body=source.randbytes(len(reply.body)), broken=True)


@dataclass(frozen=True, slots=True)
class Malformed(Fault):
    """An answer in which something is missing, of another type, or far too large or deep.

    Each is broken in another way, which follows from the seed and the exchange's number. What is
    left of it is never a plausible other answer: see `vagus.adapters.conformance.malformed`.
    """

    seed: int = 0

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Break the answer's JSON."""
        reply = await further(exchange)
        source = random.Random(f"{self.seed}:{exchange.number}")  # noqa: S311 - the same in each run
        return dataclasses.replace(reply, body=malformed(reply.body, source), broken=True)


# Another answer


@dataclass(frozen=True, slots=True)
class Lie(Fault):
    """`bend` makes another answer of a request and its JSON-RPC answer."""

    bend: Bend

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Bend each answer."""
        return (await further(exchange)).bent(exchange, self.bend)


@dataclass(frozen=True, slots=True)
class Error(Fault):
    """A JSON-RPC error in the place of every answer."""

    code: int = -32_000
    message: str = "internal error"

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Put the error where the result was."""
        error = {"code": self.code, "message": self.message}
        reply = await further(exchange)
        return reply.bent(
            exchange, lambda _, answer: {"jsonrpc": "2.0", "id": answer.get("id"), "error": error}
        )


@dataclass(frozen=True, slots=True)
class Empty(Fault):
    """Lists are empty: the result itself, or the lists directly in it."""

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Leave nothing of them."""
        return (await further(exchange)).bent(exchange, _shortened(0))


@dataclass(frozen=True, slots=True)
class Shorten(Fault):
    """Lists are cut off behind `keep` items, and nothing says so."""

    keep: int

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Cut them off."""
        return (await further(exchange)).bent(exchange, _shortened(self.keep))


@dataclass(frozen=True, slots=True)
class Stale(Fault):
    """What was answered before is answered again: the node hangs behind, or a cache does.

    `past` are a proxy's `remembered` answers, by method and parameters; what was not asked then is
    asked now.
    """

    past: Mapping[str, dict[str, Any]]

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Answer as before, under the new request's id."""
        return (await further(exchange)).bent(exchange, self._bend)

    def _bend(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        known = self.past.get(request_key(request))
        return answer if known is None else known | {"id": answer.get("id")}


def request_key(request: Request) -> str:
    """Name a request by its method and parameters."""
    return f"{request.get('method')} {request.get('params')!r}"


def _shortened(keep: int) -> Bend:
    def bend(_: Request, answer: dict[str, Any]) -> dict[str, Any]:
        result = answer.get("result")
        if isinstance(result, list):
            answer["result"] = result[:keep]
        elif isinstance(result, dict):
            for name, value in result.items():
                if isinstance(value, list):
                    result[name] = value[:keep]
        return answer

    return bend


# Which exchanges are struck, and by several


@dataclass(frozen=True, slots=True)
class Both(Fault):
    """Two faults that belong together, the first one nearer to the client."""

    first: Fault
    second: Fault

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Apply one behind the other."""

        async def behind(exchange: Exchange) -> Reply:
            return await self.second.apply(exchange, further)

        return await self.first.apply(exchange, behind)


@dataclass(frozen=True, slots=True)
class Every(Fault):
    """The fault strikes every `period`th exchange of each kind: every second one for 2."""

    period: int
    fault: Fault

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Strike by number."""
        strikes = exchange.number % self.period == self.period - 1
        return await (self.fault.apply(exchange, further) if strikes else further(exchange))


def Flap() -> Fault:  # noqa: N802 - reads as the faults do
    """Every second request fails."""
    return Every(2, Drop())


@dataclass(frozen=True, slots=True)
class Sometimes(Fault):
    """The fault strikes this share (0 to 1) of the exchanges, which ones the seed says."""

    share: float
    fault: Fault
    seed: int = 0

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Strike by the number's own draw, whatever was drawn before."""
        draw = random.Random(f"{self.seed}:{exchange.via}:{exchange.number}").random()  # noqa: S311 - as above
        strikes = draw < self.share
        return await (self.fault.apply(exchange, further) if strikes else further(exchange))


@dataclass(frozen=True, slots=True)
class Only(Fault):
    """The fault strikes the requests that call one of these methods."""

    methods: tuple[str, ...]
    fault: Fault

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Strike by method."""
        strikes = any(method in self.methods for method in exchange.methods)
        return await (self.fault.apply(exchange, further) if strikes else further(exchange))


@dataclass(frozen=True, slots=True)
class Over(Fault):
    """The fault strikes one kind of exchange: "http", "handshake" or "message"."""

    via: Via
    fault: Fault

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        """Strike by kind."""
        strikes = exchange.via == self.via
        return await (self.fault.apply(exchange, further) if strikes else further(exchange))
