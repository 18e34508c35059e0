"""What a node answers to its peers' requests: it takes their frames and hands over those for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from vagus.daemon.committee.transport.batch import MAX_BATCH, pack, take, unpack
from vagus.daemon.committee.transport.http_auth import (
    SCHEME,
    StaleError,
    StrangerError,
    Windows,
)
from vagus.daemon.committee.transport.http_peer import PATH, WAIT, WINDOW_HEADER
from vagus.protocol import Retry, keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vagus.daemon.committee.transport.base import Traffic
    from vagus.daemon.committee.transport.http_peer import Peer

__all__ = ["PeerServer"]

# Requests of one peer at once: what it sends, what it fetches, and two that it has given up.
MAX_AT_ONCE = 4
# Seconds that a request's body may take.
BODY_SECONDS = 5.0


class PeerServer:
    """The handler of one node; `receiver` is the address of its own transport key."""

    def __init__(
        self, peers: Sequence[Peer], network: bytes, receiver: bytes, traffic: Traffic
    ) -> None:
        self._peers = {peer.address: peer for peer in peers}
        self._names = frozenset(self._peers)
        self._windows = Windows(network, receiver, asyncio.get_running_loop().time)
        self._traffic = traffic
        self._at_once = dict.fromkeys(self._peers, 0)
        # Of each peer the newest request that waits for something to be said to it.
        self._waiting: dict[bytes, asyncio.Event] = {}
        self._open = False

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.post(PATH, self._serve)]

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve for the block's length; those who wait at its end are answered."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
            for over in self._waiting.values():
                over.set()

    async def _serve(self, request: web.Request) -> web.Response:
        if not self._open:
            raise Retry("the committee's transport is not open")
        peer, body_hash = self._admit(request)
        if self._at_once[peer.address] >= MAX_AT_ONCE:
            self._traffic.dropped["too many"] += 1
            raise web.HTTPTooManyRequests(reason="too many requests at once")
        self._at_once[peer.address] += 1
        try:
            frames = await self._read(request, body_hash)
            peer.heard()
            for frame in frames:
                peer.take_in(frame)
            waits = not frames and request.query.get("wait") == str(WAIT)
            answer = take(peer.outbox) if not waits or await self._something_for(peer) else []
        finally:
            self._at_once[peer.address] -= 1
        self._traffic.sent += len(answer)
        return web.Response(
            body=pack(answer),
            content_type="application/octet-stream",
            headers={WINDOW_HEADER: self._windows.current.hex()},
        )

    def _admit(self, request: web.Request) -> tuple[Peer, bytes]:
        """Return who asks and the hash of its body, known from the head alone. 401."""
        header = request.headers.get("Authorization", "")
        try:
            address, body_hash = self._windows.admit(header, self._names)
        except (StaleError, StrangerError) as error:
            if isinstance(error, StrangerError):
                self._traffic.dropped[str(error)] += 1
            challenge = f"{SCHEME} window={self._windows.current.hex()}"
            raise web.HTTPUnauthorized(
                reason="this is for the committee's members",
                headers={"WWW-Authenticate": challenge},
            ) from None
        return self._peers[address], body_hash

    async def _read(self, request: web.Request, body_hash: bytes) -> list[bytes]:
        """Return the frames of a body, bounded before it is read. 400, 408, 411, 413."""
        length = request.content_length
        if length is None:
            raise web.HTTPLengthRequired(reason="say the body's length")
        if length > MAX_BATCH:
            self._traffic.dropped["oversized"] += 1
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BATCH, actual_size=length)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.content.readexactly(length) if length else b""
        except TimeoutError:
            raise web.HTTPRequestTimeout(reason="the body took too long") from None
        except (asyncio.IncompleteReadError, ConnectionError, web.RequestPayloadError):
            raise web.HTTPBadRequest(reason="the body broke off") from None
        try:
            if keccak256(body) != body_hash:
                raise ValueError("the body is not the one that was signed")
            return unpack(body)
        except ValueError as error:
            self._traffic.dropped["malformed"] += 1
            raise web.HTTPBadRequest(reason=str(error)) from None

    async def _something_for(self, peer: Peer) -> bool:
        """Wait until there is something for a peer; False once it asks anew, or it was long enough.

        Who asks anew has given up the connection that it asked by before.
        """
        if before := self._waiting.get(peer.address):
            before.set()
        over = self._waiting[peer.address] = asyncio.Event()
        waits = [
            asyncio.create_task(peer.outbox.filled(), name="something for a peer"),
            asyncio.create_task(over.wait(), name="a peer asks anew"),
        ]
        try:
            await asyncio.wait(waits, timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return len(peer.outbox) > 0 and not over.is_set()
