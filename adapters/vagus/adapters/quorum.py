"""What k of n endpoints agree on; one endpoint alone may lie, lag, leave out or be down.

All are asked at once, and a value counts once k of them gave it, equal after strict decoding. k and
n are the configuration's for good: an endpoint that is down takes its vote with it, and too few
votes are a `Retry`. With one endpoint a read is that endpoint's, at no cost.

Who is not needed any more is heard out: a forger that is slow is noticed, a broadcast reaches
everyone, and connections are kept instead of cut. Who did not answer rests, and is asked again
before its time only where the others are not enough.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from vagus.adapters.errors import NoQuorum, TooSlow, Unreachable
from vagus.adapters.round import Ask, Node, Round
from vagus.protocol import Halt, Retry

__all__ = ["Quorum"]

N = TypeVar("N", bound=Node)
T = TypeVar("T")

# Seconds that the others have once k have answered, where more answers are better ones.
_GRACE = 0.5

log = structlog.get_logger(__name__)


class Quorum(Generic[N]):
    """The endpoints of one chain, as an async context manager.

    `halted` is set once for all when the chain must not be used any more: from then on every read
    raises it. `faults` counts by endpoint how often it said something else than k others did of what
    cannot change.
    """

    def __init__(self, chain: str, endpoints: Sequence[N], needed: int) -> None:
        self.endpoints = tuple(endpoints)
        self.needed = needed
        self.halted: Halt | None = None
        self.faults = {node.name: 0 for node in self.endpoints}
        self._chain = chain
        self._sole = self.endpoints[0] if len(self.endpoints) == 1 else None
        self.name = self._sole.name if self._sole else f"a quorum of {chain}'s endpoints"
        self._told: set[tuple[str, str]] = set()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        # Not told of the body's error, which would be wrapped.
        await self._group.__aexit__(None, None, None)

    async def agree(self, ask: Ask[N, T], about: str, *, fixed: bool = False) -> T:
        """Return what k endpoints say alike. `fixed`: it cannot change, so another answer is a fault.

        Raises `NoQuorum`, a `Retry` that names who failed and who disagreed.
        """
        return (await self.alike(ask, about, fixed=fixed))[0]

    async def alike(
        self,
        ask: Ask[N, T],
        about: str,
        *,
        fixed: bool = False,
        key: Callable[[T], object] | None = None,
    ) -> list[T]:
        """Return the answers of the k endpoints whose answers first had one key in common."""
        if self._sole is not None:
            return [await self._only(self._sole, ask)]
        round_ = self._begin(ask)
        try:
            while len(found := round_.largest(key)) < self.needed:
                if len(found) + round_.missing < self.needed:
                    raise self._split(about, round_)
                await round_.news()
            if fixed:
                agreed = found[0]
                round_.judge(lambda node, value: self._judge(node, value == agreed, about))
            return found
        finally:
            round_.end()

    async def union(self, ask: Ask[N, list[T]], about: str, *, fixed: bool = False) -> list[T]:
        """Return the items that k endpoints have: what one invents or leaves out changes nothing.

        Where k lists are the same, that list. Else all endpoints must have answered: who is down
        might have what the others lack.
        """
        if self._sole is not None:
            return await self._only(self._sole, ask)
        round_ = self._begin(ask)
        try:
            while len(found := round_.largest()) < self.needed and round_.missing:
                if round_.faults and len(found) + round_.missing < self.needed:
                    break
                await round_.news()
            if len(found) >= self.needed:
                agreed = found[0]
            elif round_.faults:
                raise self._split(about, round_)
            else:
                votes = Counter(item for _, items in round_.values for item in items)
                agreed = [item for item, count in votes.items() if count >= self.needed]
            if fixed:
                round_.judge(
                    lambda node, items: self._judge(
                        node, items == agreed or set(items) == set(agreed), about
                    )
                )
            return agreed
        finally:
            round_.end()

    async def reports(
        self,
        ask: Ask[N, T],
        about: str,
        settled: Callable[[list[T], int], bool] = lambda values, missing: False,
        useful: Callable[[T], bool] = lambda value: True,
    ) -> list[T]:
        """Return what k endpoints or more say, each for itself.

        Waits for all until `settled` (given the values, and how many may still come) says that
        more change nothing, and not long once k have said something `useful`.
        """
        if self._sole is not None:
            return [await self._only(self._sole, ask)]
        round_ = self._begin(ask)
        until: float | None = None
        try:
            while round_.missing and not settled(round_.said(), round_.missing):
                if len(round_.values) + round_.missing < self.needed:
                    break
                if until is None and sum(map(useful, round_.said())) >= self.needed:
                    until = asyncio.get_running_loop().time() + _GRACE
                try:
                    async with asyncio.timeout_at(until):
                        await round_.news()
                except TimeoutError:
                    break
            if len(round_.values) < self.needed:
                raise self._split(about, round_)
            return round_.said()
        finally:
            round_.end()

    async def floor(self, ask: Ask[N, int], about: str) -> int:
        """Return the highest number that k endpoints reach."""
        return self.reached(await self.reports(ask, about, self.certain))

    async def tell(self, ask: Ask[N, T]) -> T:
        """Tell all endpoints, resting ones too, and return what the first that took it says."""
        if self._sole is not None:
            return await self._only(self._sole, ask)
        round_ = self._begin(ask, everyone=True)
        try:
            while not round_.values:
                if not round_.missing:
                    raise Retry(round_.reasons(), round_.pause())
                await round_.news()
            return round_.values[0][1]
        finally:
            round_.end()

    def reached(self, numbers: Sequence[int]) -> int:
        """Return the k-th highest: k endpoints reach it, and one alone can neither raise nor lower it."""
        return sorted(numbers, reverse=True)[self.needed - 1]

    def certain(self, numbers: Sequence[int], missing: int) -> bool:
        """Return whether `reached` stays the same whatever the missing endpoints say."""
        ranked, floor = sorted(numbers, reverse=True), self.needed - 1
        return len(ranked) > floor >= missing and ranked[floor] == ranked[floor - missing]

    # How one question is asked

    async def _only(self, node: N, ask: Ask[N, T]) -> T:
        self._check()
        try:
            return await ask(node)
        except Retry:
            node.failures += 1
            raise

    def _begin(self, ask: Ask[N, T], *, everyone: bool = False) -> Round[N, T]:
        self._check()
        now = asyncio.get_running_loop().time()
        awake = [node for node in self.endpoints if everyone or node.resting_until <= now]
        if len(awake) < self.needed:
            awake = list(self.endpoints)
        spare = [node for node in self.endpoints if node not in awake]
        return Round(ask, self._spawn, awake, spare)

    def _spawn(self, node: N, hearing: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(hearing, name=f"{self._chain} ask {node.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _check(self) -> None:
        if self.halted is not None:
            raise self.halted

    def _judge(self, node: N, agrees: bool, about: str) -> None:
        if agrees:
            return
        self.faults[node.name] += 1
        if (node.name, about) not in self._told:  # once, and not once a second
            self._told.add((node.name, about))
            log.warning("endpoint disagrees", chain=self._chain, endpoint=node.name, about=about)

    def _split(self, about: str, round_: Round[N, T]) -> NoQuorum:
        k, n = self.needed, len(self.endpoints)
        said = ", ".join(node.name for node, _ in round_.values)
        alike = len(round_.largest()) == len(round_.values)
        votes = f"; {said} {'alone answered' if alike else 'disagree'}" if said else ""
        faults = f"; {round_.reasons()}" if round_.faults else ""
        return NoQuorum(
            f"{about}: {k} of {n} endpoints must agree{votes}{faults}",
            round_.pause(),
            silent=alike
            and all(
                isinstance(error, Unreachable) and not isinstance(error, TooSlow)
                for _, error in round_.faults
            ),
        )
