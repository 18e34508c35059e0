"""One try: a backend is asked once, and what came of it is noted, whatever that was."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator

import structlog

from vagus.compute.base import Answer, Barred, Delta, Spoilt
from vagus.compute.routing.call import Asked, Call
from vagus.compute.routing.measure import Series
from vagus.compute.routing.served import End
from vagus.compute.routing.tallies import Tallies
from vagus.protocol import Refuse, Retry, VagusError

__all__ = ["Asker"]

log = structlog.get_logger("vagus.routing")


class Asker:
    """Asks, and keeps the books: measurements, breakers, money, tallies.

    tripped: whose breakers are open; who is never chosen would never be tried again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.tallies = Tallies()
        self.tripped: dict[Series, None] = {}
        self._clock = clock

    async def ask(self, call: Call, asked: Asked) -> Answer | None:
        """Ask one backend once, and keep what came of it; None where that is no answer."""
        with self._under_way(call, asked):
            if not await self._keeps(call, asked):
                return None
            async with asyncio.timeout(asked.seconds):
                answer = await asked.candidate.backend.complete(call.request, timeout=asked.seconds)
            self._answered(call, asked, answer)
            return answer
        return None

    async def pieces(self, call: Call, asked: Asked) -> AsyncGenerator[Delta | Answer, None]:
        """Stream from one backend once; what fails after the first piece is raised."""
        begun, answer = False, None
        with self._under_way(call, asked):
            if not await self._keeps(call, asked):
                return
            stream = asked.candidate.backend.stream(call.request, timeout=call.left)
            async with contextlib.aclosing(stream):
                while answer is None:
                    seconds = call.left if begun else asked.seconds
                    async with asyncio.timeout(seconds):
                        piece = await anext(stream, None)
                    if piece is None:
                        raise Retry("the stream ended without an answer")
                    if isinstance(piece, Answer):
                        answer = piece
                    else:
                        begun = asked.begun = True
                        yield piece
            self._answered(call, asked, answer)
        if answer is not None and asked.end == "answered":
            yield answer
        elif begun and asked.error is not None:
            self.tallies.calls["failed"] += 1
            raise asked.error

    async def _keeps(self, call: Call, asked: Asked) -> bool:
        """Have kept what a try may cost before it is sent; where it can't be, it is not, and costs nothing."""
        kept = False
        try:
            while not kept:
                if asked.held:
                    await call.spend.kept()
                # Others may have had meanwhile what was cheap: nothing waits from here to the request.
                kept = not call.renew(asked)
        except VagusError as error:  # it is no word on the backend
            call.words.append(error if isinstance(error, Retry) else Retry(str(error)))
            asked.candidate.series.breaker.dropped(self._clock())
        finally:
            if not kept:
                call.spend.settle(asked.held, 0)
                asked.held = 0
        return kept

    @contextlib.contextmanager
    def _under_way(self, call: Call, asked: Asked) -> Iterator[None]:
        """Count a try while it runs, and note how it ends; its backend's errors end here."""
        series = asked.candidate.series
        asked.began = self._clock()
        series.breaker.begin()
        series.in_flight += 1
        try:
            yield
        except (Retry, Refuse) as error:
            self._errs(call, asked, error)
        except TimeoutError:
            self._errs(call, asked, Retry("it took too long"))
        except (asyncio.CancelledError, GeneratorExit):
            self._cancelled(call, asked)
            raise
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
            kind = type(error).__name__
            log.error("a defect of a backend", backend=asked.candidate.backend.name, error=kind)  # noqa: TRY400 - a traceback quotes the prompt
            self._errs(call, asked, Retry(f"a defect of backend {series.key[0]}: {kind}"))
        finally:
            series.in_flight -= 1

    def _answered(self, call: Call, asked: Asked, answer: Answer) -> None:
        series, now = asked.candidate.series, self._clock()
        asked.begun = True
        if not call.counts(answer.usage):
            raise Retry(f"{asked.candidate.backend.name} counts tokens that nobody asked for")
        if answer.price is not None and answer.price.within(asked.price):
            asked.price = answer.price
        asked.cost = asked.price.cost(answer.usage)
        series.answered(answer, call.size, now - asked.began, now)
        series.breaker.answered()
        self.watch(series)
        call.pool.learn(answer.usage)
        # Last: what fails before it is settled as an error.
        call.spend.settle(asked.held, asked.cost)
        self._note(call, asked, "answered")

    def _errs(self, call: Call, asked: Asked, error: Retry | Refuse) -> None:
        """Note an error. One that began to answer or used up its time may be charged, no other."""
        series, now = asked.candidate.series, self._clock()
        seconds = now - asked.began
        asked.error = error
        call.words.append(error)
        end: End = "failed"
        if isinstance(error, Barred):
            series.breaker.barred(now, error.reason)
            end = "barred"
        elif isinstance(error, Refuse):
            # It is about the request: the backend did its part.
            series.breaker.answered()
            end = "refused"
        else:
            series.failed(now)
            series.breaker.failed(now, error.reason, error.after)
        late = end == "failed" and seconds >= 0.99 * asked.seconds
        if late:
            series.outrun(call.size, seconds, now)
        self.watch(series)
        begun = asked.begun or isinstance(error, Spoilt)
        self._lose(call, asked, asked.held if late or begun else 0)
        self._note(call, asked, end)

    def _cancelled(self, call: Call, asked: Asked) -> None:
        """Note a try that was cancelled: it lost against another, or nobody wants an answer any more."""
        series, now = asked.candidate.series, self._clock()
        series.breaker.dropped(now)
        if call.won:
            series.outrun(call.size, now - asked.began, now)
        self._lose(call, asked, asked.held)
        self._note(call, asked, "cancelled")

    def _lose(self, call: Call, asked: Asked, amount: int) -> None:
        """Count what a try without an answer may cost."""
        lost = 0 if asked.candidate.backend.cancels else amount
        call.spend.settle(asked.held, lost)
        call.lost += lost
        if lost:
            self.tallies.lost[asked.candidate.backend.name, call.request.model.name] += lost

    def _note(self, call: Call, asked: Asked, end: End) -> None:
        asked.end, asked.took = end, self._clock() - asked.began
        self.tallies.tries[asked.candidate.backend.name, call.request.model.name, end] += 1

    def watch(self, series: Series) -> None:
        """Remember whose breaker is open: who is never chosen would never be tried again."""
        if series.breaker.open:
            self.tripped[series] = None
        elif self.tripped:
            self.tripped.pop(series, None)
