"""Backends that do what a test's script says, and remember when they were asked and how it ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal

from support.backends import Ready
from vagus.compute import (
    Answer,
    BackendConfig,
    Completion,
    Delta,
    Message,
    Model,
    Price,
    Times,
    Usage,
)
from vagus.protocol import Refuse, Retry

__all__ = ["MODEL", "Scripted", "request"]

MODEL = Model("m")

Turn = float | Exception | tuple[float, Exception]
"""Seconds until an answer; an error; or seconds until an error."""


def request(max_tokens: int = 100, text: str = "Hello") -> Completion:
    """A question; with prices per token a call's worst case follows from its bytes."""
    return Completion(model=MODEL, messages=(Message("user", text),), max_tokens=max_tokens)


class Scripted(Ready):
    """Takes one turn a call: the next of a list, then its last one for ever, or what a function says.

    price: per token, read or written alike.
    """

    def __init__(
        self,
        name: str,
        turns: list[Turn] | Callable[[int], Turn] | Turn = 1.0,
        *,
        price: int = 1,
        slots: int = 64,
    ) -> None:
        super().__init__(BackendConfig(kind="scripted", name=name, max_in_flight=slots))
        self.unit: Price | Refuse | Retry = Price(Decimal(price * 10**6), Decimal(price * 10**6))
        self.most: int | None = None
        self.usage = Usage(10, 10)
        self.began: list[float] = []
        self.ended: list[str] = []
        self.running = 0
        self._turns = turns

    def _turn(self) -> Turn:
        at = len(self.began) - 1
        if callable(self._turns):
            return self._turns(at)
        if isinstance(self._turns, list):
            return self._turns[min(at, len(self._turns) - 1)]
        return self._turns

    async def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def price(self, model: Model) -> Price:
        if not isinstance(self.unit, Price):
            raise self.unit
        return self.unit

    def context(self, model: Model) -> int | None:
        return self.most

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Do what the script says, and break off as a backend does once its time is up."""
        self.began.append(asyncio.get_running_loop().time())
        turn, self.running = self._turn(), self.running + 1
        try:
            seconds, error = turn if isinstance(turn, tuple) else (turn, None)
            if isinstance(seconds, Exception):
                seconds, error = 0.0, seconds
            await asyncio.sleep(min(seconds, timeout))
            if seconds >= timeout:
                error = Retry("the server took too long answering")
            self.ended.append("answered" if error is None else "failed")
            if error is not None:
                raise error
            return Answer("ok", (), self.usage, "stop", "m", Times(0, None, seconds))
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.running -= 1

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Write "ok" in two pieces, after the script's seconds each; an error comes between them."""
        self.began.append(asyncio.get_running_loop().time())
        turn = self._turn()
        if isinstance(turn, Exception):
            raise turn
        seconds, error = turn if isinstance(turn, tuple) else (turn, None)
        await asyncio.sleep(seconds)
        yield Delta("o")
        if error is not None:
            raise error
        await asyncio.sleep(seconds)
        yield Delta("k")
        yield Answer("ok", (), self.usage, "stop", "m", Times(0, seconds, 2 * seconds))
