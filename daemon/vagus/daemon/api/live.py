"""Server-sent events: each stage that an intent comes to, and every two seconds the node's status.

A client that was cut off says the last id it saw, by Last-Event-ID as browsers do or by ?after=, and
is sent what it missed; ids are keys of the journal's history, and outlive a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from vagus.daemon.api.answers import entry_event, error_answer
from vagus.daemon.feed import KEPT
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.feed import Feed
    from vagus.daemon.journal.base import Entry
    from vagus.daemon.status import Status

__all__ = ["Live"]

MAX_LISTENERS = 64
# Lines that are sent again at most; a client that missed more is told to begin anew.
MAX_REPLAY = 5_000
# Seconds between two statuses, by which a client also hears that the stream lives; seconds that a
# client may take to read what it was sent.
STATUS_SECONDS = 2.0
SLOW_SECONDS = 10.0
# After how long a browser that was cut off comes back.
RETRY_MS = 1000
_KEY = re.compile("0|[1-9][0-9]{0,17}")


class Live:
    """The clients of /v1/events; the status is read once for all of them."""

    def __init__(self, feed: Feed, status: Status) -> None:
        self._feed = feed
        self._status = status
        self._tasks: set[asyncio.Task[Any]] = set()
        # The status as it was last read, when, and the newest line that its counts have in them.
        self._read_at = float("-inf")
        self._body = b"{}"
        self._key = -1
        self._made: dict[int, bytes] = {}

    def close(self) -> None:
        """End every stream."""
        for task in self._tasks:
            task.cancel()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream until the client leaves or falls behind."""
        wanted = request.headers.get("Last-Event-ID") or request.query.get("after")
        if wanted is not None and not _KEY.fullmatch(wanted):
            return error_answer(400, "Last-Event-ID and after are ids of events")
        if len(self._tasks) >= MAX_LISTENERS:
            reason = f"{MAX_LISTENERS} clients listen already"
            answer = error_answer(503, reason)
            answer.headers["Retry-After"] = "10"
            return answer
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler runs in a task")
        self._tasks.add(task)
        self._status.listeners = len(self._tasks)
        try:
            async with self._feed.listening():
                return await self._stream(request, None if wanted is None else int(wanted))
        finally:
            self._tasks.discard(task)
            self._status.listeners = len(self._tasks)

    async def _stream(self, request: web.Request, wanted: int | None) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        # A client that hangs up, or does not read, is no error of anybody; where the journal cannot be
        # read the stream ends, and the client comes back with the last id that it saw.
        with contextlib.suppress(ConnectionError, _TooSlow, Retry):
            newest = await self._status.journal.newest_key()
            if wanted is None:
                after, first = newest, _event("hello", {}, newest)
            elif newest - MAX_REPLAY <= wanted <= newest:
                after, first = wanted, b""
            else:
                after, first = newest, _event("reset", {}, newest)
            await _send(request, response, b"retry: %d\n\n%b" % (RETRY_MS, first))
            await self._follow(request, response, after)
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, after: int) -> None:
        told, begun = float("-inf"), after
        while True:
            if time.monotonic() - told >= STATUS_SECONDS:
                told = time.monotonic()
                body = await self._status_body(begun)
                await _send(request, response, b"event: status\ndata: %b\n\n" % body)
            lines = await self._lines(after)
            if lines:
                after = lines[-1].key
                await _send(request, response, b"".join(map(self._encoded, lines)))

    def _encoded(self, line: Entry) -> bytes:
        """Return a line as it is sent, made once for all who listen."""
        found = self._made.get(line.key)
        if found is None:
            if len(self._made) >= KEPT:
                self._made.clear()
            event = _event("transition", entry_event(self._status, line), line.key)
            found = self._made[line.key] = event
        return found

    async def _lines(self, after: int) -> Sequence[Entry]:
        """Return the next lines; none where none come before the next status."""
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                return await self._feed.after(after)
        except TimeoutError:
            return ()

    async def _status_body(self, begun: int) -> bytes:
        """Return the status, read anew where it is old, or older than a stream that began at a line."""
        if time.monotonic() - self._read_at >= STATUS_SECONDS or self._key < begun:
            self._read_at = time.monotonic()
            try:
                status = await self._status.whole()
                self._key, self._body = status["key"], msgspec.json.encode(status)
            except Retry as error:
                self._body = msgspec.json.encode({"error": error.reason})
        return self._body


class _TooSlow(Exception):  # noqa: N818 - it ends a stream, and is no error
    pass


def _event(kind: str, value: dict[str, Any], key: int) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (key, kind.encode(), msgspec.json.encode(value))


async def _send(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Write, and wait until the client has room for more; one that does not read is cut off."""
    try:
        async with asyncio.timeout(SLOW_SECONDS):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise _TooSlow from None
