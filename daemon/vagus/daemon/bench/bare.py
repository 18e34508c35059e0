"""JSON-RPC without any looking: what a node's answers cost the chain alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import msgspec

from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["BareClient", "Request", "bare_client"]

_TIMEOUT = 120.0

Request: TypeAlias = tuple[str, Sequence[object] | Mapping[str, object]]


class BareClient:
    """One endpoint, asked as an adapter asks it; answers are read to their end, and thrown away."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._ids = itertools.count(1)

    async def post(self, *calls: Request) -> bytes:
        """Send calls, as a batch where there are several; the answer's bytes, unread."""
        requests = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in calls
        ]
        body = msgspec.json.encode(requests[0] if len(requests) == 1 else requests)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                return await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise VagusError(f"{calls[0][0]}: the node did not answer: {error!r}") from None

    async def everywhere(self, endpoints: int, call: Request) -> bytes:
        """Send one call to so many endpoints at once, all of which are this one."""
        return (await asyncio.gather(*(self.post(call) for _ in range(endpoints))))[0]

    async def until(self, said: bytes, pause: float, endpoints: int, call: Request) -> None:
        """Send a call again, with a pause of so many seconds, until these bytes are in its answer."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                while said not in await self.everywhere(endpoints, call):  # noqa: ASYNC110 - a node is asked, no event is set
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise VagusError(f"{call[0]}: no {said.decode()} in {_TIMEOUT:g} s") from None

    async def ask(self, method: str, params: Sequence[object] | Mapping[str, object]) -> Any:
        """Call a method; VagusError where the node says no."""
        answer = msgspec.json.decode(await self.post((method, params)))
        if "result" not in answer:
            raise VagusError(f"{method}: {answer.get('error')}")
        return answer["result"]


@contextlib.asynccontextmanager
async def bare_client(url: str) -> AsyncIterator[BareClient]:
    """Open the connections to one endpoint."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield BareClient(session, url)
