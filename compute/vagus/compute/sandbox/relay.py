"""Completions of a sandbox that another server writes: a real model behind a network's API."""

from typing import Any

import aiohttp
from aiohttp import web

from vagus.compute.sandbox.base import ApiError

__all__ = ["Relay"]


class Relay:
    """Passes completions on to an OpenAI-compatible server, word for word."""

    def __init__(
        self, base_url: str, *, served_as: str | None = None, api_key: str | None = None
    ) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._served_as = served_as
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}

    async def answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """Return what the server answers. Raises ApiError, 502, where it can't be reached."""
        if self._served_as is not None:
            body = {**body, "model": self._served_as}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(self._url, json=body, headers=self._headers) as found,
            ):
                kind = found.headers.get("Content-Type", "application/json")
                response = web.StreamResponse(status=found.status, headers={"Content-Type": kind})
                await response.prepare(request)
                async for data in found.content.iter_any():
                    await response.write(data)
                return response
        except aiohttp.ClientError as error:
            raise ApiError(502, f"the upstream can't be reached: {type(error).__name__}") from None
