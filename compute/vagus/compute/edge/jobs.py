"""A worker's requests: each is run at most once, so many at once, and answered in the same bytes again."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.compute.base import Answer
from vagus.compute.edge import bodies
from vagus.compute.edge.frames import MAX_FRAME, Frame, Kind
from vagus.compute.edge.windows import Windows
from vagus.protocol import Refuse, Retry, address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from coincurve import PrivateKey

    from vagus.compute.base import Backend, Model, Token

__all__ = ["Jobs"]

# Answers kept for who asks again, and their bytes.
MAX_KEPT = 4096
MAX_KEPT_BYTES = 16 << 20
# Seconds between two pieces of an answer: what comes faster travels together.
GATHER = 0.025
# Requests that failed one after the other, which a model's server that is well does not do.
_TROUBLE = 3
# Seconds that a server is given which is well.
_PATIENT = 30.0
# Seconds that a node is told to wait: more than the first, less than the second.
_LEAST_PAUSE, _LONGEST_PAUSE = 0.05, 30.0


@dataclass(slots=True, eq=False)
class _Job:
    """A request: who asked, where the answer goes, and once it has ended, with which frame."""

    node: bytes
    digest: bytes
    topic: str
    task: asyncio.Task[None] | None = None
    reply: bytes = b""
    said: float = 0.0


class Jobs:
    """Runs requests in a TaskGroup. `send` gets a topic, a frame and the digest that it is about.

    slots: requests under way at once; per_node: of one node. models: what is served. changed: called
    where it has become full, or is so no more. counts: how requests ended. trouble: set where several
    have failed in a row.
    """

    def __init__(
        self,
        key: PrivateKey,
        backend: Backend,
        models: frozenset[Model],
        slots: int,
        per_node: int,
        send: Callable[[str, bytes, bytes], None],
        changed: Callable[[], None],
    ) -> None:
        self._key = key
        self._me = address_of(key)
        self._backend = backend
        self._models = models
        self._slots = slots
        self._per_node = per_node
        self._send = send
        self._changed = changed
        self._jobs: dict[bytes, _Job] = {}
        self._running: Counter[bytes] = Counter()
        self._ended: OrderedDict[bytes, _Job] = OrderedDict()
        self._kept = 0
        self._seconds = 1.0
        self.windows = Windows()
        self.stopping = False
        self.trouble = asyncio.Event()
        self._failed = 0
        self.counts: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """Slots that are free."""
        return self._slots - self._running.total()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way."""
        return [job.task for job in self._jobs.values() if job.task is not None]

    def take(self, frame: Frame, digest: bytes, topic: str, group: asyncio.TaskGroup) -> None:
        """Run a request of a node that may ask, or say again what it came to, or say no at once."""
        if digest in self._jobs:
            return
        if digest in self._ended:
            self._repeat(self._ended[digest])
            return
        job = _Job(frame.sender, digest, topic)
        try:
            ask = bodies.decode(frame.body, bodies.Ask)
        except bodies.BodyError:
            self.counts["malformed"] += 1
            return
        except Refuse as error:
            self.counts["refused"] += 1
            self._say(job, bodies.Sorry(_short(error.reason)))
            return
        fault = self.windows.enter(ask.window, job.node, digest)
        if fault:
            self.counts[fault] += 1
            if fault == "stale":
                self._say(job, bodies.Sorry("it names a window that is over", 1.0))
            return
        no = self._refusal(job, ask)
        if no is not None:
            self._end(job, no)
            return
        self._jobs[digest] = job
        self._running[job.node] += 1
        if not self.free:
            self._changed()
        job.task = group.create_task(self._run(job, ask), name=f"request {digest.hex()[:8]}")
        # Not in the task: one that is cancelled before it has begun runs nothing at all.
        job.task.add_done_callback(lambda _: self._let_go(job))

    def cancel(self, node: bytes, digest: bytes) -> None:
        """Break off what a node has given up; it is not run any more, should it come again."""
        job = self._jobs.get(digest)
        if job is not None and job.node == node and job.task is not None:
            self.counts["cancelled"] += 1
            job.task.cancel()

    def _refusal(self, job: _Job, ask: bodies.Ask) -> bodies.Sorry | None:
        """Return why a request is not run, and when to come again."""
        if self.stopping:
            return bodies.Sorry("the worker stops", _LONGEST_PAUSE, busy=True)
        if ask.request.model not in self._models:
            return bodies.Sorry("the model is not served here")
        if self.free <= 0 or self._running[job.node] >= self._per_node:
            self.counts["busy"] += 1
            pause = min(max(self._seconds / self._slots, _LEAST_PAUSE), _LONGEST_PAUSE)
            return bodies.Sorry("all slots are taken", pause, busy=True)
        return None

    def _let_go(self, job: _Job) -> None:
        """Free the slot of a request that has ended, however it did."""
        full = not self.free
        self._running[job.node] -= 1
        self._running = +self._running
        del self._jobs[job.digest]
        if full:
            self._changed()

    async def _run(self, job: _Job, ask: bodies.Ask) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answer = await (self._stream(job, ask) if ask.stream else self._complete(ask))
        except Retry as error:
            self.counts["failed"] += 1
            # A node that does not wait for long says nothing about the server.
            if now() - began < ask.within or ask.within > _PATIENT:
                self._failed += 1
            if self._failed >= _TROUBLE:
                self.trouble.set()
            self._end(job, bodies.Sorry(_short(error.reason), min(error.after, _LONGEST_PAUSE)))
        except Refuse as error:
            self.counts["refused"] += 1
            self._end(job, bodies.Sorry(_short(error.reason)))
        except asyncio.CancelledError:
            if self.stopping:
                self._end(job, bodies.Sorry("the worker stopped", _LEAST_PAUSE))
            raise
        else:
            self.counts["answered"] += 1
            self._failed = 0
            self._seconds += (now() - began - self._seconds) / 8
            self._end(job, answer)

    async def _complete(self, ask: bodies.Ask) -> bodies.AnswerBody:
        return _body(await self._backend.complete(ask.request, timeout=ask.within))

    async def _stream(self, job: _Job, ask: bodies.Ask) -> bodies.AnswerBody:
        now = asyncio.get_running_loop().time
        tokens: list[Token] = []
        text, number, last = "", 0, 0.0
        async with aclosing(self._backend.stream(ask.request, timeout=ask.within)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return _body(piece)
                text += piece.text
                tokens += piece.tokens
                if now() - last >= GATHER:
                    body = bodies.Piece(text, tuple(tokens))
                    self._say(job, body, number)
                    text, tokens, number, last = "", [], number + 1, now()
        raise Retry("the stream ended without an answer")

    def _end(self, job: _Job, body: bodies.AnswerBody | bodies.Sorry) -> None:
        """Say how a request ended, and keep that for who asks again."""
        frame = self._say(job, body)
        if len(frame) > MAX_FRAME:
            frame = self._say(job, bodies.Sorry(f"the answer is over {MAX_FRAME} bytes"))
        job.task, job.reply, job.said = None, frame, asyncio.get_running_loop().time()
        self._ended[job.digest] = job
        self._kept += len(frame)
        while len(self._ended) > MAX_KEPT or self._kept > MAX_KEPT_BYTES:
            _, oldest = self._ended.popitem(last=False)
            self._kept -= len(oldest.reply)

    def _say(
        self, job: _Job, body: bodies.Piece | bodies.AnswerBody | bodies.Sorry, number: int = 0
    ) -> bytes:
        """Send a frame about a request, unless it is too long, and return it."""
        data, _ = Frame(
            _KINDS[type(body)], self._me, job.node, job.digest, number, bodies.encode(body)
        ).seal(self._key)
        if len(data) <= MAX_FRAME:
            self._send(job.topic, data, job.digest)
        return data

    def _repeat(self, job: _Job) -> None:
        """Say again what a request came to, once a second at most."""
        now = asyncio.get_running_loop().time()
        if now - job.said >= 1:
            job.said = now
            self._send(job.topic, job.reply, job.digest)


_KINDS = {bodies.Piece: Kind.PIECE, bodies.AnswerBody: Kind.ANSWER, bodies.Sorry: Kind.SORRY}


def _body(answer: Answer) -> bodies.AnswerBody:
    return bodies.AnswerBody(
        text=answer.text,
        prompt=answer.usage.prompt,
        # Thoughts are not sent, and what is not shown is not counted.
        completion=min(answer.usage.completion, bodies.most_written(answer.text)),
        finish_reason=answer.finish_reason,
        model=answer.model,
        tokens=answer.tokens,
        ids=answer.ids,
    )


def _short(reason: str) -> str:
    return reason[:500]
