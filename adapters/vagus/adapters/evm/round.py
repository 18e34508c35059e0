"""One question to several endpoints at once, and their answers as they come."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeAlias, TypeVar

import structlog

from vagus.adapters.evm.rpc import Rpc
from vagus.protocol import Retry

__all__ = ["Ask", "Round"]

T = TypeVar("T")
Ask: TypeAlias = Callable[[Rpc], Awaitable[T]]

# Calls under way at one endpoint over which nobody is heard out.
_MAX_LATE = 64

log = structlog.get_logger(__name__)


class Round(Generic[T]):
    """Asks `awake` at once, and `spare` when nobody else is left; `spawn` makes the tasks.

    `values` and `faults` are what was answered so far, in its order.
    """

    def __init__(
        self,
        ask: Ask[T],
        spawn: Callable[[Rpc, Coroutine[None, None, None]], asyncio.Task[None]],
        awake: Sequence[Rpc],
        spare: Sequence[Rpc],
    ) -> None:
        self.values: list[tuple[Rpc, T]] = []
        self.faults: list[tuple[Rpc, Retry]] = []
        self._ask = ask
        self._spawn = spawn
        self._spare = list(spare)
        self._pending: dict[Rpc, asyncio.Task[None]] = {}
        self._over = False
        self._defect: Exception | None = None
        self._news = asyncio.Event()
        self._judge: Callable[[Rpc, T], None] | None = None
        self._start(awake)

    @property
    def missing(self) -> int:
        """How many may still answer."""
        return len(self._pending) + len(self._spare)

    def said(self) -> list[T]:
        """Return the values without their endpoints."""
        return [value for _, value in self.values]

    def largest(self, key: Callable[[T], object] | None = None) -> list[T]:
        """Return the most values that are equal, or have an equal key."""
        groups: list[tuple[object, list[T]]] = []
        for value in self.said():
            mark = value if key is None else key(value)
            for known, group in groups:
                if known == mark:
                    group.append(value)
                    break
            else:
                groups.append((mark, [value]))
        return max((group for _, group in groups), key=len, default=[])

    async def news(self) -> None:
        """Wait for one more answer."""
        if not self._pending:
            self._start(self._spare)
            self._spare = []
        self._news.clear()
        await self._news.wait()
        if self._defect is not None:
            raise self._defect

    def judge(self, judge: Callable[[Rpc, T], None]) -> None:
        """Show each value to `judge`, now and when it comes."""
        self._judge = judge
        for rpc, value in self.values:
            judge(rpc, value)

    def end(self) -> None:
        """Leave the rest to themselves, or cancel them where too many are under way."""
        self._over = True
        for rpc, task in self._pending.items():
            if rpc.pending > _MAX_LATE:
                task.cancel()

    def reasons(self) -> str:
        """Say in words who failed, and why."""
        return "; ".join(
            f"{rpc.name}: {error.reason.removeprefix(f'{rpc.name}: ')}"
            for rpc, error in self.faults
        )

    def pause(self) -> float:
        """Return the seconds after which the first of those that failed may answer."""
        return min((error.after for _, error in self.faults), default=1.0)

    def _start(self, endpoints: Sequence[Rpc]) -> None:
        for rpc in endpoints:
            self._pending[rpc] = self._spawn(rpc, self._hear(rpc))

    async def _hear(self, rpc: Rpc) -> None:
        rpc.pending += 1
        try:
            value = await self._ask(rpc)
        except Retry as error:
            rpc.failures += 1
            # Its frames hold the answer, megabytes of it; of an error that is kept its words count.
            self.faults.append((rpc, error.with_traceback(None)))
        except Exception as error:
            self._defect = error
            if self._over:
                log.exception("defect in an answer that was not needed any more", endpoint=rpc.name)
        else:
            self.values.append((rpc, value))
            if self._judge is not None:
                self._judge(rpc, value)
        finally:
            rpc.pending -= 1
            del self._pending[rpc]
            self._news.set()
