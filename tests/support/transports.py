"""Committees of three over each kind of transport, with links that tests break and mend."""

import abc
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from coincurve import PrivateKey

from support.mosquitto import Mosquitto
from vagus.compute.mqtt import Broker
from vagus.daemon.committee.transport import (
    BrokerConfig,
    PeerConfig,
    PeersConfig,
    Topic,
    Transport,
    open_transports,
)
from vagus.daemon.committee.transport.http import HttpTransport
from vagus.protocol import address_of, keccak256

__all__ = ["KEYS", "NETWORK", "WORLDS", "World", "topic"]

NETWORK = keccak256(b"a committee of tests")
KEYS = [PrivateKey(bytes([n]) * 32) for n in (1, 2, 3)]


def topic(sender: int, network: bytes = NETWORK) -> Topic:
    return Topic(network, address_of(KEYS[sender]), 1, keccak256(b"an intent"))


class World(abc.ABC):
    """`async with`; what is between the members can go away and come back where it was.

    `noticing`: the members who find out at once that nobody is there.
    """

    noticing: tuple[int, ...] = (0, 1, 2)

    @abc.abstractmethod
    def member(self, number: int) -> contextlib.AbstractAsyncContextManager[Transport]: ...

    @abc.abstractmethod
    async def cut(self) -> None: ...

    @abc.abstractmethod
    async def mend(self) -> None: ...

    @abc.abstractmethod
    async def __aenter__(self) -> "World": ...

    @abc.abstractmethod
    async def __aexit__(self, *_: object) -> None: ...


class _Brokered(World):
    url: str
    qos: int

    def member(self, number: int) -> contextlib.AbstractAsyncContextManager[Transport]:
        config = BrokerConfig.model_validate({"url": self.url, "qos": self.qos})
        return open_transports([config], KEYS[number], NETWORK)[0]


class OverMosquitto(_Brokered):
    """The broker that committees use, with confirmed messages."""

    qos = 1

    def __init__(self, folder: Path) -> None:
        self._broker = Mosquitto(folder)

    async def __aenter__(self) -> World:
        await self._broker.__aenter__()
        self.url = self._broker.url
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._broker.__aexit__()

    async def cut(self) -> None:
        await self._broker.kill()

    async def mend(self) -> None:
        await self._broker.start()


class OverEmbedded(_Brokered):
    """The broker of demos."""

    qos = 1

    def __init__(self, folder: Path) -> None:
        del folder
        self._life = contextlib.AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> World:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._life.aclose()

    async def cut(self) -> None:
        await self._life.aclose()

    async def mend(self) -> None:
        broker = await self._life.enter_async_context(Broker(self._port))
        self._port, self.url = broker.port, broker.url


class OverEmbeddedUnconfirmed(OverEmbedded):
    """The same, with messages that nobody confirms."""

    qos = 0


class OverHttp(World):
    """Nodes that reach each other; `reachable` says who can be reached."""

    reachable = (True, True, True)

    def __init__(self, folder: Path) -> None:
        del folder
        self._apps: list[_Door] = []

    async def __aenter__(self) -> World:
        self._apps = [_Door() for _ in KEYS]
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        for app in self._apps:
            await app.close()

    async def mend(self) -> None:
        for app in self._apps:
            await app.open()

    @contextlib.asynccontextmanager
    async def member(self, number: int) -> AsyncIterator[Transport]:
        config = PeersConfig(
            peers=tuple(
                PeerConfig(
                    transport="0x" + address_of(key).hex(),
                    url=self._apps[at].url if self.reachable[at] else None,
                )
                for at, key in enumerate(KEYS)
                if at != number
            ),
            fetch=not self.reachable[number],
        )
        transport = open_transports([config], KEYS[number], NETWORK)[0]
        assert isinstance(transport, HttpTransport)
        async with transport:
            self._apps[number].serve(transport)
            yield transport


class OverHttpFromBehind(OverHttp):
    """One node of three cannot be reached, as behind a router."""

    reachable = (False, True, True)
    noticing = (0,)  # the others have one peer that they only ever hear of


class _Door:
    """A node's HTTP, with whatever transport is there now behind it."""

    def __init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._routes: dict[str, web.RouteDef] = {}
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def serve(self, transport: HttpTransport) -> None:
        self._routes = {route.path: route for route in transport.routes()}

    async def open(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        assert site._server is not None
        self._port = site._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        route = self._routes.get(request.path)
        if route is None or request.method != route.method:
            raise web.HTTPServiceUnavailable
        answer: web.StreamResponse = await route.handler(request)
        return answer


WORLDS = [
    OverMosquitto,
    OverEmbedded,
    OverEmbeddedUnconfirmed,
    OverHttp,
    OverHttpFromBehind,
]
