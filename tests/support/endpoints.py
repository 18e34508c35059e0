"""Several endpoints of one chain, each behind a proxy of its own that a test bends."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from support.evm import Chain
from support.proxy import Bend, Proxy
from vagus.adapters.evm.adapter import EvmAdapter

__all__ = [
    "adapter_over",
    "answering",
    "disagreements",
    "endpoints",
    "names",
    "node_error",
    "slow_down",
]


@contextlib.asynccontextmanager
async def endpoints(node: Chain, count: int = 3) -> AsyncIterator[list[Proxy]]:
    """So many endpoints of one node."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Proxy(node.anvil.rpc)) for _ in range(count)]


def adapter_over(node: Chain, proxies: list[Proxy], key: int = 0, **changes: Any) -> EvmAdapter:
    """An adapter that reads from all of them, with the quorum that is default."""
    return node.adapter(key, rpc=[proxy.rpc for proxy in proxies], **changes)


def names(adapter: EvmAdapter) -> list[str]:
    """The endpoints' names, in the order of their proxies."""
    return list(adapter.tallies())


def disagreements(adapter: EvmAdapter) -> list[int]:
    """How often each endpoint was caught, in the order of their proxies."""
    return [tally.disagreements for tally in adapter.tallies().values()]


def answering(method: str, change: Callable[[Any], Any], *params: Any) -> Bend:
    """Change the result of one method, only where its first parameters are these."""

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == method and request["params"][: len(params)] == [*params]:
            return {"jsonrpc": "2.0", "id": request["id"], "result": change(answer.get("result"))}
        return answer

    return bend


def node_error(method: str, message: str, code: int = -32000, **members: Any) -> Bend:
    """Answer one method with a JSON-RPC error."""

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] != method:
            return answer
        error = {"code": code, "message": message} | members
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}

    return bend


def slow_down(seconds: int) -> Bend:
    """Answer HTTP 429 to everything."""
    return lambda request, answer: web.Response(
        status=429, headers={"Retry-After": str(seconds)}, text="slow down"
    )
