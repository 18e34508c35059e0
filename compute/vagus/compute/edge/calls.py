"""One request of a node to a worker, from the first frame to the last."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from vagus.compute.base import Answer, Delta, Times
from vagus.compute.bounds import one_line, prompt_tokens_bound
from vagus.compute.edge import bodies
from vagus.compute.edge.frames import MAX_FRAME, Kind
from vagus.compute.price import Usage
from vagus.protocol import Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from vagus.compute.base import Completion, Token
    from vagus.compute.edge.frames import Frame
    from vagus.compute.edge.refusals import Refusals
    from vagus.compute.edge.standing import Standing
    from vagus.compute.price import Price

__all__ = ["Call"]

AGAIN = 2.0
"""Seconds of silence after which the same request is sent again; twice as long each time."""

# Pieces that wait for one before them: the answer comes whole in the end.
_MAX_WAITING = 64
# Bytes of a piece that says nothing.
_EMPTY = len(bodies.encode(bodies.Piece("")))


class Call:
    """What comes back, held to the request. `send` sends the same frame, each time it is called.

    worker: who is asked, at which price. deadline: of the loop's clock. refusals: who has said no to which request.
    done: whether nothing more is to come.
    """

    def __init__(
        self,
        worker: Standing,
        request: Completion,
        price: Price,
        deadline: float,
        refusals: Refusals,
        send: Callable[[], None],
    ) -> None:
        self.worker = worker
        self.session = "" if worker.offer is None else worker.offer.session
        self.done = False
        self._request = request
        self._price = price
        self._deadline = deadline
        self._refusals = refusals
        self._send = send
        self._news = asyncio.Event()
        self._pieces: dict[int, bodies.Piece] = {}
        self._next = 0
        self._text: list[str] = []
        self._tokens = 0
        self._room = MAX_FRAME
        self._answer: bodies.AnswerBody | None = None
        self._fault: Retry | Refuse | None = None

    def hear(self, frame: Frame) -> None:
        """Take what the worker says of this request; a body that is none ends the call."""
        if self.done:
            return
        try:
            if frame.kind is Kind.PIECE:
                self._take_piece(frame)
            elif frame.kind is Kind.ANSWER:
                self._answer, self.done = bodies.decode(frame.body, bodies.AnswerBody), True
            else:
                self._take_sorry(bodies.decode(frame.body, bodies.Sorry))
        except bodies.BodyError as error:
            self.fail(f"sent what is no answer: {one_line(str(error))}")
        self._news.set()

    def fail(self, what: str, after: float = 1.0) -> None:
        """End the call, for what the worker did."""
        self._end(self._fails(what, after))

    async def ended(self) -> None:
        """Wait for the end. Raises Retry and Refuse."""
        while not self.done:
            await self._until_news()
        if self._fault is not None:
            raise self._fault

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """Yield the pieces of the answer in their order, until it is whole. Raises as `ended`."""
        while not self.done:
            while piece := self._pieces.pop(self._next, None):
                self._next += 1
                yield self._delta(piece.text, piece.tokens)
            if not self.done:
                await self._until_news()
        if self._fault is not None:
            raise self._fault
        # What pieces were lost, or gathered too late, is in the answer.
        if (answer := self._answer) is not None:
            text, begun = answer.text, "".join(self._text)
            if not text.startswith(begun):
                raise self._fails("sent pieces of another answer")
            if rest := text[len(begun) :]:
                yield self._delta(rest, answer.tokens[self._tokens :])

    def answer(self, times: Times) -> Answer:
        """Return the whole answer; Retry where it can't be one of the request."""
        if (found := self._answer) is None:
            raise RuntimeError("the call has not ended")
        request = self._request
        sent = prompt_tokens_bound(message.content for message in request.messages)
        most = min(request.max_tokens, bodies.most_written(found.text))
        if found.completion > most or found.prompt > sent:
            counted = f"{found.prompt} + {found.completion}"
            raise self._fails(f"counts {counted} tokens, which is more than {sent} + {most}")
        if max(len(found.tokens), len(found.ids)) > request.max_tokens:
            raise self._fails("sent more tokens than were asked for")
        return Answer(
            text=found.text,
            tokens=() if request.logprobs is None else found.tokens,
            usage=Usage(found.prompt, found.completion),
            finish_reason=found.finish_reason,
            model=found.model,
            times=times,
            ids=found.ids if request.ids else (),
            price=self._price,
        )

    def _take_piece(self, frame: Frame) -> None:
        piece, number = bodies.decode(frame.body, bodies.Piece), frame.number
        if number in self._pieces or not self._next <= number < self._next + _MAX_WAITING:
            return
        self._pieces[number] = piece
        # All that they say is in the answer once more, which is one frame.
        self._room -= max(0, len(frame.body) - _EMPTY)
        if self._room < 0:
            self.fail("sent pieces of more than an answer")

    def _take_sorry(self, sorry: bodies.Sorry) -> None:
        reason = f"worker {self.worker.name}: {one_line(sorry.reason)}"
        if sorry.after is None:
            # The next try is then priced as who it goes to.
            self.worker.doubt()
            final = self._refusals.note(self._request, self.worker.address)
            self._end(Refuse(reason) if final else Retry(reason, 0.0))
            return
        if sorry.busy:
            self.worker.busy_until = asyncio.get_running_loop().time() + sorry.after
        else:
            self.worker.doubt()
        self._end(Retry(reason, sorry.after))

    def _fails(self, what: str, after: float = 1.0) -> Retry:
        """Return what the worker did as an error; others are asked before it for a while."""
        self.worker.doubt()
        return Retry(f"worker {self.worker.name} {what}", after)

    def _end(self, fault: Retry | Refuse) -> None:
        if not self.done:
            self._fault, self.done = fault, True
            self._news.set()

    def _delta(self, text: str, tokens: tuple[Token, ...]) -> Delta:
        self._text.append(text)
        self._tokens += len(tokens)
        return Delta(text, () if self._request.logprobs is None else tokens)

    async def _until_news(self) -> None:
        """Wait until something was heard, and ask again meanwhile; what comes too late is a Retry."""
        now, pause = asyncio.get_running_loop().time, AGAIN
        again = now() + pause
        while not self._news.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._deadline, again)):
                    await self._news.wait()
                    break
            if now() >= self._deadline:
                raise self._fails("took too long")
            if not self.worker.alive:
                raise self._fails("fell silent")
            self._send()
            pause *= 2
            again = now() + pause
        self._news.clear()
