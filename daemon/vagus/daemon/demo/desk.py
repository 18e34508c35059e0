"""One local model behind a path for each seller of the demo, some of which go wrong on demand."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from aiohttp import web

from vagus.compute.backends import local_server
from vagus.compute.child import Child
from vagus.compute.sandbox.base import ApiError, json_response, read_json
from vagus.compute.sandbox.chat import Chat, ScriptedModel
from vagus.compute.sandbox.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Desk"]

START_SECONDS = 120.0
CONTEXT = 4096


class Desk:
    """A server on 127.0.0.1 as `async with`; a seller asks at `url(seller)`, as of an OpenAI-compatible one.

    weights: a GGUF file, name: its model's.
    """

    def __init__(self, weights: Path, name: str) -> None:
        self.name = name
        self._weights = weights
        self._life = AsyncExitStack()
        self._relay: Relay | None = None
        self._port = 0
        self._slow: dict[str, float] = {}
        self._other = Chat(ScriptedModel(name))
        self._swapped: set[str] = set()
        self._asked: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __aenter__(self) -> Self:
        key = Child.new_key()
        settings = local_server.Settings(
            str(self._weights), self.name, key, context=CONTEXT, parallel=2
        )
        child = Child(local_server.__name__, settings, what="the sellers' model server")
        try:
            await self._life.enter_async_context(child)
            port = await child.port(timeout=START_SECONDS)
            self._relay = Relay(f"http://127.0.0.1:{port}/v1", served_as=self.name, api_key=key)
            app = web.Application()
            app.router.add_get("/{seller}/v1/models", self._models)
            app.router.add_post("/{seller}/v1/chat/completions", self._complete)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
            await runner.setup()
            self._life.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        except BaseException:
            await self._life.aclose()
            raise
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    def url(self, seller: str) -> str:
        """Return where a seller's machines ask."""
        return f"http://127.0.0.1:{self._port}/{seller}/v1"

    def slow(self, seller: str, seconds: float) -> None:
        """Have each answer of a seller come so much later from now on."""
        self._slow[seller] = seconds

    def swap(self, seller: str) -> None:
        """Have a seller answer by something else than the model that it sells, under the same name."""
        self._swapped.add(seller)

    async def asked(self, seller: str) -> None:
        """Wait until a seller's machine was asked for an answer: it is rented, and serves."""
        await self._asked[seller].wait()

    async def _models(self, _: web.Request) -> web.StreamResponse:
        listed = [{"id": self.name, "object": "model", "created": 0}]
        return json_response({"object": "list", "data": listed})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        seller = request.match_info["seller"]
        self._asked[seller].set()
        await asyncio.sleep(self._slow.get(seller, 0.0))
        try:
            if seller in self._swapped or self._relay is None:
                return await self._other.complete(request)
            return await self._relay.answer(request, await read_json(request, dict))
        except ApiError as error:
            return json_response({"error": {"message": error.message}}, status=error.status)
