"""One question to several endpoints at once, and their answers as they come."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import structlog

from vagus.protocol import Retry

__all__ = ["Ask", "Node", "Round"]


class Node(Protocol):
    """One endpoint of a chain, whatever is spoken there.

    `name` may be shown; `barred` is why nothing that it says counts, empty while it does; `requests`,
    `failures` and `pending` count calls sent, reads without a value, and reads under way;
    `resting_until` is the event loop's time before which it is better left alone.
    """

    name: str
    barred: str
    requests: int
    failures: int
    pending: int
    resting_until: float


N = TypeVar("N", bound=Node)
T = TypeVar("T")
Ask: TypeAlias = Callable[[N], Awaitable[T]]

# Calls under way at one endpoint over which nobody is heard out.
_MAX_LATE = 64

log = structlog.get_logger(__name__)


class Round(Generic[N, T]):
    """Asks `awake` at once, and `spare` when nobody else is left; `spawn` makes the tasks.

    `values` and `faults` are what was answered so far, in its order.
    """

    def __init__(
        self,
        ask: Ask[N, T],
        spawn: Callable[[N, Coroutine[None, None, None]], asyncio.Task[None]],
        awake: Sequence[N],
        spare: Sequence[N],
    ) -> None:
        self.values: list[tuple[N, T]] = []
        self.faults: list[tuple[N, Retry]] = []
        self._ask = ask
        self._spawn = spawn
        self._spare = list(spare)
        self._pending: dict[N, asyncio.Task[None]] = {}
        self._over = False
        self._defect: Exception | None = None
        self._news = asyncio.Event()
        self._judge: Callable[[N, T], None] | None = None
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

    def judge(self, judge: Callable[[N, T], None]) -> None:
        """Show each value to `judge`, now and when it comes."""
        self._judge = judge
        for node, value in self.values:
            judge(node, value)

    def end(self) -> None:
        """Leave the rest to themselves, or cancel them where too many are under way."""
        self._over = True
        for node, task in self._pending.items():
            if node.pending > _MAX_LATE:
                task.cancel()

    def reasons(self) -> str:
        """Say in words who failed, and why."""
        return "; ".join(
            f"{node.name}: {error.reason.removeprefix(f'{node.name}: ')}"
            for node, error in self.faults
        )

    def pause(self) -> float:
        """Return the seconds after which the first of those that failed may answer."""
        return min((error.after for _, error in self.faults), default=1.0)

    def _start(self, endpoints: Sequence[N]) -> None:
        for node in endpoints:
            self._pending[node] = self._spawn(node, self._hear(node))

    async def _hear(self, node: N) -> None:
        node.pending += 1
        try:
            value = await self._ask(node)
        except Retry as error:
            node.failures += 1
            # Its frames hold the answer, megabytes of it; of an error that is kept its words count.
            self.faults.append((node, error.with_traceback(None)))
        except Exception as error:
            self._defect = error
            if self._over:
                log.exception(
                    "defect in an answer that was not needed any more", endpoint=node.name
                )
        else:
            self.values.append((node, value))
            if self._judge is not None:
                self._judge(node, value)
        finally:
            node.pending -= 1
            del self._pending[node]
            self._news.set()
