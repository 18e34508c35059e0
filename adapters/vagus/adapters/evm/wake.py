"""Websockets that wake the reader: nothing that they say is read."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

import aiohttp
import structlog
from pydantic import SecretStr

__all__ = ["wake"]

_SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
_HEARTBEAT = 20.0
_MAX_MESSAGE = 64 << 10
_MAX_BACKOFF = 30.0

log = structlog.get_logger(__name__)


async def wake(
    news: asyncio.Event,
    url: SecretStr,
    session: aiohttp.ClientSession,
    chain: str,
    name: str,
    subscription: Mapping[str, object] = _SUBSCRIBE,
) -> NoReturn:
    """Set `news` at a websocket's new heads, for ever; a broken one is opened again.

    `name` is what may be shown of the URL, `subscription` the request for news.
    """
    backoff = 1.0
    while True:
        fault = "closed"
        try:
            async with session.ws_connect(
                url.get_secret_value(), heartbeat=_HEARTBEAT, max_msg_size=_MAX_MESSAGE
            ) as socket:
                await socket.send_json(subscription)
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    backoff = 1.0
                    news.set()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = type(error).__name__
        log.info("websocket lost", chain=chain, endpoint=name, reason=fault)
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, _MAX_BACKOFF)
