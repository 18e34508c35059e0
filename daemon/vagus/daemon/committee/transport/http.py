"""Envelopes between nodes over authenticated HTTP: for a committee, or a member, without a broker.

Each node takes `POST /v1/committee` from its peers and makes such requests of those that it can reach. An
answer carries what waits for whoever asked, so that one node of two has to be reachable.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Self

import aiohttp
from typing_extensions import override

from vagus.compute.connector import BoundedConnector
from vagus.compute.lossy import LossyQueue
from vagus.daemon.committee.transport.base import MAX_FRAME, Topic, Traffic, Transport
from vagus.daemon.committee.transport.http_peer import Peer
from vagus.daemon.committee.transport.http_server import PeerServer
from vagus.protocol import Refuse, address_of

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web
    from coincurve import PrivateKey

    from vagus.daemon.committee.transport.config import PeersConfig

__all__ = ["HttpTransport"]

MAX_ITEMS, MAX_BYTES = 1024, 4 << 20


class HttpTransport(Transport):
    """Peers over HTTP. `key`: this member's transport key; `network`: 32 bytes.

    The node's API serves `routes()`. A frame counts as sent for each peer that it reached.
    """

    name = "http"

    def __init__(self, config: PeersConfig, key: PrivateKey, network: bytes) -> None:
        self.traffic = Traffic()
        self._config = config
        self._inbox = LossyQueue[bytes](MAX_ITEMS, MAX_BYTES)
        self._peers = [
            Peer(each, key, network, self.traffic, self._take_in) for each in config.peers
        ]
        self._server = PeerServer(self._peers, network, address_of(key), self.traffic)
        self._life = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"<HttpTransport to {len(self._peers)} peers>"

    @property
    @override
    def connected(self) -> bool:
        return any(peer.there for peer in self._peers)

    @override
    async def until_connected(self) -> None:
        waiting = [
            asyncio.create_task(peer.up.wait(), name="waiting for a peer") for peer in self._peers
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    @override
    def send(self, frame: bytes, topic: Topic) -> None:
        if len(frame) > MAX_FRAME:
            self.traffic.dropped["oversized"] += 1
            return
        for peer in self._peers:
            peer.send(frame)

    @override
    async def receive(self) -> bytes:
        return await self._inbox.get()

    def routes(self) -> list[web.RouteDef]:
        """Return what the node's API is to serve for the peers."""
        return self._server.routes()

    @override
    async def __aenter__(self) -> Self:
        connector = BoundedConnector(limit=0, keepalive_timeout=10, ssl=self._tls())
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        await self._life.enter_async_context(session)
        # Closed without the body's error, which a TaskGroup would wrap in a group.
        group = await self._life.enter_async_context(asyncio.TaskGroup())
        for peer in self._peers:
            if peer.url is None:
                continue
            works = {"frames to": peer.deliver(session)}
            if self._config.fetch:
                works["frames of"] = peer.fetch(session)
            for name, work in works.items():
                self._life.callback(group.create_task(work, name=f"{name} {peer.url}").cancel)
        self._life.enter_context(self._server.serving())
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    def _tls(self) -> ssl.SSLContext:
        path = self._config.ca_file
        try:
            return ssl.create_default_context(cafile=None if path is None else str(path))
        except (OSError, ValueError) as error:
            raise Refuse(f"{path} is no PEM of authorities: {type(error).__name__}") from None

    def _take_in(self, peer: bytes, frame: bytes) -> None:
        self.traffic.received += 1
        self.traffic.dropped["inbox full"] += self._inbox.put(frame, len(frame), peer)
