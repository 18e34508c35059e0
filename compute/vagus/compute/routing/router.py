"""The router: the one place that asks another backend, or asks two.

    served = await router.complete(request, backends, timeout=30, spend=Spend(1_000_000))

It takes the backend with the best score, moves on to the next where that one fails, and asks a second
one beside where the first is slower than it mostly is. docs/routing.md has the formula and the rules.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

import structlog

from vagus.compute.base import Answer, Backend, Completion, Delta, Model
from vagus.compute.routing.allowance import Allowance
from vagus.compute.routing.asking import Asker
from vagus.compute.routing.call import Asked, Call
from vagus.compute.routing.choosing import TRUSTED, Chooser
from vagus.compute.routing.measure import SIZES, Measurements, size_of
from vagus.compute.routing.pool import Candidate, Pool
from vagus.compute.routing.served import Served
from vagus.compute.routing.spend import Spend
from vagus.compute.routing.tuning import Tuning
from vagus.protocol import VagusError

__all__ = ["Observer", "Router"]

log = structlog.get_logger("vagus.routing")

Observer = Callable[[Completion, Served, tuple[Backend, ...]], None]


class Router:
    """Chooses, measures, retries and hedges; it keeps no task and needs no closing.

    clock: seconds that never go back, the running loop's unless given. observers: called with each
    request, what served it, and the backends that were allowed to; they must not raise.
    """

    def __init__(
        self,
        tuning: Tuning | None = None,
        *,
        clock: Callable[[], float] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.tuning = Tuning() if tuning is None else tuning
        self.clock = clock or _loop_time
        self.measurements = Measurements(self.tuning, self.clock)
        self.observers = list(observers)
        self._asker = Asker(self.clock)
        self.tallies = self._asker.tallies
        self._chooser = Chooser(self.measurements, self._asker.tripped, self.tuning, self.clock)
        self._hedges = Allowance(self.tuning.hedges)

    async def complete(
        self,
        request: Completion,
        backends: Sequence[Backend],
        *,
        timeout: float,
        spend: Spend | None = None,
    ) -> Served:
        """Return what the best of the backends answers, within so many seconds and what is left to spend.

        Raises Retry where nobody answered now, Refuse where two backends refuse the request itself,
        or the only one does, or where none is within the budget.
        """
        call = self._call(request, backends, timeout, spend)
        while (chosen := await self._next(call)) is not None:
            answered = await self._attempt(call, chosen)
            if answered is not None:
                return self._served(call, *answered)
        raise self._failed(call)

    async def stream(
        self,
        request: Completion,
        backends: Sequence[Backend],
        *,
        timeout: float,
        spend: Spend | None = None,
    ) -> AsyncGenerator[Delta | Served, None]:
        """Yield a Delta for each piece, and last what `complete` returns; close it with `aclosing`.

        Another backend is asked only until the first piece came, one after the other: whoever reads
        can't take back what it has read. Raises as `complete` does, also between two pieces.
        """
        call = self._call(request, backends, timeout, spend)
        while (chosen := await self._next(call)) is not None:
            if (asked := call.ask(chosen, self._chooser.patience(call, chosen))) is None:
                continue
            async with contextlib.aclosing(self._asker.pieces(call, asked)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Answer):
                        yield self._served(call, asked, piece)
                        return
                    yield piece
        raise self._failed(call)

    def pool(self, model: Model, backends: Sequence[Backend]) -> Pool:
        """Return the backends of a model, ranked for requests of the size that is asked most."""
        sizes = (self._chooser.pool(model, backends, each) for each in range(SIZES))
        return max(sizes, key=lambda each: each.learned)

    def best(self, model: Model, backends: Sequence[Backend]) -> Backend:
        """Return who would be asked first now; the first one where nobody may be asked."""
        found = self.pool(model, backends).pick(self.clock(), (), lambda _: True)
        return backends[0] if found is None else found.backend

    def usable(self, backend: str, model: bytes) -> bool:
        """Whether a backend would be asked for a model now."""
        return not self.measurements.of(backend, model).held(self.clock())

    # What others found out

    def verified(self, backend: str, model: bytes, ok: bool) -> None:
        """Count one check of an answer: the score shows it, and nothing else follows."""
        self.measurements.of(backend, model).verified(ok, self.clock())

    def compared(self, backend: str, model: bytes, ok: bool) -> None:
        """Count what a committee made of an answer; one that is outvoted in a row is quarantined.

        For an hour, and not the last one that may be asked for the model.
        """
        self.verified(backend, model, ok)
        trust = self.measurements.of(backend, model).trust
        shut = trust.reason
        reason = trust.compared(ok)
        if not reason or shut:
            return
        if self._others(backend, model):
            trust.outvoted(reason)
            _log_quarantine(backend, model, reason)
        else:
            log.warning(
                "outvoted, and no other serves the model",
                backend=backend,
                model=f"0x{model.hex()}",
                reason=reason,
            )

    def quarantine(self, backend: str, model: bytes, reason: str) -> None:
        """Ask a backend for a model no more, until `release` or the node's end."""
        self.measurements.of(backend, model).trust.quarantine(reason)
        _log_quarantine(backend, model, reason)

    def release(self, backend: str, model: bytes) -> bool:
        """End a quarantine; say whether there was one."""
        was = self.measurements.of(backend, model).trust.release()
        if was:
            log.info("released", backend=backend, model=f"0x{model.hex()}")
        return was

    def release_all(self, backend: str) -> tuple[bytes, ...]:
        """End a backend's quarantine for all models; return the digests of those that it was for."""
        keys = [each.key for each in self.measurements]
        return tuple(model for name, model in keys if name == backend and self.release(name, model))

    def _others(self, backend: str, model: bytes) -> bool:
        """Whether another backend is known that may be asked for a model now."""
        now = self.clock()
        return any(
            not each.held(now)
            for each in self.measurements
            if each.key[1] == model and each.key[0] != backend
        )

    # One call

    def _call(
        self,
        request: Completion,
        backends: Sequence[Backend],
        timeout: float,
        spend: Spend | None,
    ) -> Call:
        self._hedges.earn()
        self._chooser.explores.earn()
        pool = self._chooser.pool(request.model, backends, size_of(request.max_tokens))
        spend = Spend() if spend is None else spend
        return Call(request, pool, spend, self.clock, timeout, self.tuning.tries)

    async def _next(self, call: Call) -> Candidate | None:
        """Return who is asked next, after a pause where all have failed that might answer."""
        chosen = self._chooser.next(call)
        while chosen is None and (pause := call.again()) is not None:
            await asyncio.sleep(pause)
            self._chooser.pool(call.pool.model, call.pool.backends, call.size)
            chosen = self._chooser.next(call)
        return chosen

    async def _attempt(self, call: Call, chosen: Candidate) -> tuple[Asked, Answer] | None:
        """Ask one backend, and a second one where the first is slower than it mostly is."""
        asked = call.ask(chosen, self._chooser.patience(call, chosen))
        if asked is None:
            return None
        slow = self._slow(call, chosen)
        if slow is None or slow >= asked.seconds or not call.alternatives(chosen):
            answer = await self._asker.ask(call, asked)
            return None if answer is None else (asked, answer)
        return await self._race(call, asked, slow)

    def _slow(self, call: Call, chosen: Candidate) -> float | None:
        """Return after how many seconds a hedge is due; None where there is none to be.

        Whether one is left is asked then: who hangs is hedged by what was earned meanwhile.
        """
        if chosen.series.breaker.open:
            return None
        found = chosen.series.estimate(self.clock()).latency[call.size]
        return found.p95 if found is not None and found.weight >= TRUSTED else None

    async def _race(self, call: Call, first: Asked, slow: float) -> tuple[Asked, Answer] | None:
        """Ask; after `slow` seconds ask another too. The first answer wins, other calls end."""
        asked: dict[asyncio.Task[Answer | None], Asked] = {}
        won: asyncio.Task[Answer | None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                running = {self._start(group, call, asked, first)}
                done, running = await asyncio.wait(running, timeout=slow)
                if not done and self._hedges.enough:
                    running |= self._hedge(group, call, asked)
                while True:
                    won = next((each for each in asked if each in done and each.result()), None)
                    if won is not None:
                        break
                    if done and any(asked[each] is first for each in running):
                        # The hedge failed, and the first one is as slow as before.
                        running |= self._hedge(group, call, asked, instead=True)
                    if not running:
                        break
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                call.won = won is not None
                for task in running:
                    task.cancel()
        finally:
            for each in asked.values():
                if each.end is None:  # cancelled before it was sent: it costs nothing
                    call.spend.settle(each.held, 0)
        if won is None or (answer := won.result()) is None:
            return None
        # Two may have answered: one answer is used, both are paid.
        call.lost += sum(each.cost for each in asked.values() if each is not asked[won])
        if asked[won].hedge:
            self.tallies.won += 1
            first.candidate.series.breaker.failed(self.clock(), "slower than it mostly is")
            self._asker.watch(first.candidate.series)
        return asked[won], answer

    def _start(
        self,
        group: asyncio.TaskGroup,
        call: Call,
        asked: dict[asyncio.Task[Answer | None], Asked],
        each: Asked,
    ) -> asyncio.Task[Answer | None]:
        name = f"model call at {each.candidate.backend.name}"
        task = group.create_task(self._asker.ask(call, each), name=name)
        asked[task] = each
        return task

    def _hedge(
        self,
        group: asyncio.TaskGroup,
        call: Call,
        asked: dict[asyncio.Task[Answer | None], Asked],
        *,
        instead: bool = False,
    ) -> set[asyncio.Task[Answer | None]]:
        """Ask another, where tries, time and budget allow it; `instead` of a hedge that failed."""
        if call.over:
            return set()
        other = call.pool.pick(self.clock(), call.skip, call.fits)
        if other is None or other.series.breaker.open:
            return set()  # a probe is no help to a slow call
        if (each := call.ask(other, call.left)) is None:
            return set()
        if not instead:
            self._hedges.take()
            self.tallies.hedges += 1
        each.hedge = True
        return {self._start(group, call, asked, each)}

    def _served(self, call: Call, asked: Asked, answer: Answer) -> Served:
        served = Served(answer, asked.candidate.backend, asked.price, call.tried, call.lost)
        self.tallies.calls["answered"] += 1
        self.tallies.moved += len(call.asked) > 1
        for observer in self.observers:
            observer(call.request, served, call.pool.backends)
        return served

    def _failed(self, call: Call) -> VagusError:
        self.tallies.calls["failed"] += 1
        self.tallies.moved += len(call.asked) > 1
        return call.word()


def _log_quarantine(backend: str, model: bytes, reason: str) -> None:
    log.warning("quarantined", backend=backend, model=f"0x{model.hex()}", reason=reason)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
