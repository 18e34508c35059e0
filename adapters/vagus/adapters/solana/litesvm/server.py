"""The process: JSON-RPC over HTTP, and a websocket, on one port of 127.0.0.1.

`python -m vagus.adapters.solana.litesvm.server` prints where it listens as a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
from typing import Any, NoReturn

import msgspec
from aiohttp import web
from solders.keypair import Keypair

from vagus.adapters.solana.litesvm.control import control
from vagus.adapters.solana.litesvm.encoding import RpcError
from vagus.adapters.solana.litesvm.ledger import Ledger
from vagus.adapters.solana.litesvm.methods import Methods
from vagus.adapters.solana.litesvm.params import Params
from vagus.adapters.solana.litesvm.sockets import Subscriber

__all__ = ["main", "serve"]

_MAX_BODY = 1 << 20
_MAX_BATCH = 100


class Server:
    """A ledger behind HTTP."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._methods = Methods(ledger, Keypair()).by_name | control(ledger)

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/", self._post)
        app.router.add_get("/", self._socket)
        return app

    async def _post(self, request: web.Request) -> web.Response:
        # A page in a browser can send anything but this type unasked.
        if request.content_type != "application/json":
            return web.Response(status=415, text="Content-Type: application/json is required")
        try:
            asked = msgspec.json.decode(await request.read())
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _json(_error(None, RpcError(-32700, "Parse error")))
        if isinstance(asked, list):
            if not 0 < len(asked) <= _MAX_BATCH:
                return _json(_error(None, RpcError(-32600, "Invalid request")))
            return _json([self.answer(each) for each in asked])
        return _json(self.answer(asked))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=405, text="POST JSON-RPC, or open a websocket")
        if "Origin" in request.headers:
            return web.Response(status=403, text="not for pages")
        return await Subscriber(self._ledger, self.answer).serve(request)

    def answer(self, request: Any) -> dict[str, Any]:
        """Answer one request."""
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, RpcError(-32600, "Invalid request"))
        number = request.get("id")
        method = self._methods.get(request["method"])
        try:
            if method is None:
                raise RpcError(-32601, "Method not found")
            result = method(Params(request.get("params") or []))
        except RpcError as error:
            return _error(number, error)
        return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": error.json()}


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def serve(port: int, slot_seconds: float, finality: int, seed: bytes) -> None:
    """Serve until SIGTERM or SIGINT; without a slot's time slots end by order alone."""
    ledger = Ledger(seed, finality)
    ledger.end_slots(finality + 1)
    ledger.pace = slot_seconds
    runner = web.AppRunner(Server(ledger).app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        urls = {"rpc": f"http://{host}:{bound}", "ws": f"ws://{host}:{bound}"}
        print(json.dumps(urls | {"genesis": str(ledger.genesis)}), flush=True)
        ended = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, ended.set)
        clock = asyncio.create_task(_clock(ledger), name="litesvm clock")
        await ended.wait()
        clock.cancel()
    finally:
        await runner.cleanup()


async def _clock(ledger: Ledger) -> NoReturn:
    """End a slot at the ledger's pace, for ever."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        ledger.paced.clear()
        due = max(due + ledger.pace, loop.time())
        try:
            async with asyncio.timeout_at(due if ledger.pace else None):
                await ledger.paced.wait()
        except TimeoutError:
            ledger.end_slots()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description="A Solana node for development, on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0: one that the system chooses")
    parser.add_argument("--slot-ms", type=int, default=400, help="0: slots end by order alone")
    parser.add_argument("--finality", type=int, default=4, help="slots from newest to final")
    parser.add_argument("--seed", help="makes the genesis hash; without one each start has another")
    options = parser.parse_args()
    seed = secrets.token_bytes(32) if options.seed is None else options.seed.encode()
    asyncio.run(serve(options.port, options.slot_ms / 1000, options.finality, seed))


if __name__ == "__main__":
    main()
