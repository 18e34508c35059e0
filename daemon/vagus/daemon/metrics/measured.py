"""A backend that is counted: requests and how they ended, seconds, tokens, cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from vagus.compute import Answer, Backend, BackendConfig
from vagus.protocol import Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path
    from types import TracebackType

    from vagus.compute import Completion, Delta, Model, Price, Rescored, Usage
    from vagus.compute.money import Money
    from vagus.daemon.metrics.registry import Metrics

__all__ = ["Measured"]

# Requests in a row that failed before a backend counts as failing: one alone is no news.
PATIENCE = 3


class Measured(Backend):
    """Another backend, with its requests counted; otherwise it is that backend."""

    Config = BackendConfig

    def __init__(self, inner: Backend, metrics: Metrics) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._inner = inner
        self._metrics = metrics
        self._failed = 0
        self._reason = ""
        self._served: tuple[Model, ...] = ()
        self._describe()

    def _describe(self) -> None:
        inner = self._inner
        self.name, self.region, self.network = inner.name, inner.region, inner.network
        self.engine = inner.engine
        self.rescores, self.attests, self.cancels = inner.rescores, inner.attests, inner.cancels
        self.rents = inner.rents

    @property
    def slots(self) -> int:
        """How many calls it takes at once, as it is now."""
        return self._inner.slots

    @property
    def served(self) -> tuple[Model, ...]:
        """The models as they were last told; empty until the backend has answered once."""
        return self._served

    @property
    def fault(self) -> str | None:
        """Why it is of no use now, in words; None where it is."""
        if not self._served:
            return "has not said yet which models it serves"
        if self._failed >= PATIENCE:
            return f"failed {self._failed} times in a row, last: {self._reason}"
        return None

    async def __aenter__(self) -> Self:
        """Enter the backend, and take over what it then knows of itself."""
        await self._inner.__aenter__()
        self._describe()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the backend."""
        await self._inner.__aexit__(kind, error, trace)

    async def models(self) -> tuple[Model, ...]:
        """Return its models, and remember that it answered."""
        self._served = await self._inner.models()
        return self._served

    def price(self, model: Model) -> Price:
        """Return its price."""
        return self._inner.price(model)

    def context(self, model: Model) -> int | None:
        """Return its context."""
        return self._inner.context(model)

    def keep_in(self, folder: Path) -> None:
        """Hand it the data folder."""
        self._inner.keep_in(folder)

    def used(self, model: Model, usage: Usage, elsewhere: Price | None) -> None:
        """Hand on what a call came to."""
        self._inner.used(model, usage, elsewhere)

    def price_by(self, money: Money) -> None:
        """Hand it what turns dollars into the unit of account."""
        self._inner.price_by(money)

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, and count it."""
        began = time.monotonic()
        try:
            answer = await self._inner.complete(request, timeout=timeout)
        except (Retry, Refuse) as error:
            self._count_failure(request.model, error)
            raise
        self._count(request.model, answer, time.monotonic() - began)
        return answer

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, and count it by its last piece."""
        began = time.monotonic()
        pieces = self._inner.stream(request, timeout=timeout)
        try:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    self._count(request.model, piece, time.monotonic() - began)
                yield piece
        except (Retry, Refuse) as error:
            self._count_failure(request.model, error)
            raise
        finally:
            await pieces.aclose()

    async def rescore(
        self, request: Completion, tokens: Sequence[int], *, timeout: float
    ) -> Rescored:
        """Have it read tokens again: no request that is counted, since it writes nothing."""
        return await self._inner.rescore(request, tokens, timeout=timeout)

    async def check(self, *, timeout: float) -> None:
        """Have it checked in its own way, which may be to ask nothing; where that passes, nothing is wrong."""
        await self._inner.check(timeout=timeout)
        self._failed = 0

    def _count(self, model: Model, answer: Answer, seconds: float) -> None:
        self._failed = 0
        try:
            cost = (answer.price or self._inner.price(model)).cost(answer.usage)
        except (Retry, Refuse):
            cost = 0  # what it cost was known when it was asked, and is not any more
        self._metrics.model_answered(self.name, model.name, answer.usage, seconds, cost)

    def _count_failure(self, model: Model, error: Retry | Refuse) -> None:
        """Count a failure; what the backend refuses for good says nothing of its health."""
        if isinstance(error, Retry):
            self._failed += 1
            self._reason = error.reason
        self._metrics.model_failed(self.name, model.name, isinstance(error, Retry))
