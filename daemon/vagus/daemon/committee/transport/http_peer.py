"""One peer over HTTP: what waits for it, and the requests that are made of it."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING

import aiohttp
import structlog

from vagus.compute.bounds import one_line
from vagus.compute.lossy import LossyQueue
from vagus.daemon.committee.transport.base import Traffic
from vagus.daemon.committee.transport.batch import MAX_BATCH, pack, take, unpack
from vagus.daemon.committee.transport.http_auth import authorization

if TYPE_CHECKING:
    from collections.abc import Callable

    from coincurve import PrivateKey

    from vagus.daemon.committee.transport.config import PeerConfig

__all__ = ["PATH", "WAIT", "WINDOW_HEADER", "Peer"]

log = structlog.get_logger("vagus.peers")

PATH = "/v1/committee"
WINDOW_HEADER = "Vagus-Window"
WAIT = 20
"""Seconds that a request may wait for something to be said to who made it."""

MAX_WAITING, MAX_WAITING_BYTES = 1024, 4 << 20
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
_TIMEOUT = 10.0
# Seconds after which a peer that fetches what is for it should have asked again.
_LATELY = 2.0 * WAIT
# Seconds between two requests: what comes meanwhile goes with the next.
_GATHERING = 0.005
_CHALLENGE = re.compile(r"Vagus window=([0-9a-f]{64})")
_WINDOW = re.compile(r"[0-9a-f]{64}")


class _AwayError(Exception):
    """A request was not answered as a peer answers: why."""


class Peer:
    """A peer; `deliver_to` gets its address and each frame that it sends."""

    def __init__(
        self,
        config: PeerConfig,
        key: PrivateKey,
        network: bytes,
        traffic: Traffic,
        deliver_to: Callable[[bytes, bytes], None],
    ) -> None:
        self.address = config.address
        self.outbox = LossyQueue[bytes](MAX_WAITING, MAX_WAITING_BYTES)
        self.up = asyncio.Event()
        self.url = config.url
        self._target = f"{(config.url or '').rstrip('/')}{PATH}"
        self._key = key
        self._network = network
        self._traffic = traffic
        self._deliver_to = deliver_to
        self._window = bytes(32)
        self._said = ""
        self._heard_at = -_LATELY
        self._log = log.bind(peer=config.transport)

    def send(self, frame: bytes) -> None:
        """Have a frame wait for its turn; the oldest make room for it."""
        self._traffic.dropped["outbox full"] += self.outbox.put(frame, len(frame))

    def take_in(self, frame: bytes) -> None:
        """Hand on a frame that it sent."""
        self._deliver_to(self.address, frame)

    @property
    def there(self) -> bool:
        """Whether it answers; of a peer that can't be reached, whether it asked lately."""
        if self.url is None and asyncio.get_running_loop().time() - self._heard_at > _LATELY:
            self.up.clear()
        return self.up.is_set()

    def heard(self) -> None:
        """Note that it is there."""
        self._heard_at = asyncio.get_running_loop().time()
        if not self.up.is_set():
            self._log.info("peer is there")
        self._said = ""
        self.up.set()

    async def deliver(self, session: aiohttp.ClientSession) -> None:
        """Send what waits, for ever; what could not be sent is sent again."""
        frames: list[bytes] = []
        while True:
            await self._insist(session, frames, 0)  # without frames it says hello
            self._traffic.sent += len(frames)
            await asyncio.sleep(_GATHERING)
            await self.outbox.filled()
            frames = take(self.outbox)

    async def fetch(self, session: aiohttp.ClientSession) -> None:
        """Ask for what it has for us, for ever."""
        while True:
            await self._insist(session, [], WAIT)

    async def _insist(self, session: aiohttp.ClientSession, frames: list[bytes], wait: int) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                answer = await self._ask(session, pack(frames), wait)
            except _AwayError as error:
                self._away(str(error))
            else:
                self.heard()
                for frame in answer:
                    self.take_in(frame)
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE)
            self._traffic.reconnects += 1

    async def _ask(self, session: aiohttp.ClientSession, body: bytes, wait: int) -> list[bytes]:
        """Make one request, twice if its window is over; return the frames of the answer."""
        for last in (False, True):
            header = authorization(self._key, self._network, self.address, self._window, body)
            try:
                async with session.post(
                    self._target,
                    params={"wait": str(wait)} if wait else None,
                    data=body,
                    headers={
                        "Authorization": header,
                        "Content-Type": "application/octet-stream",
                    },
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=_TIMEOUT + wait),
                ) as response:
                    if response.status == 401 and not last and self._challenged(response):
                        continue
                    if response.status != 200:
                        raise _AwayError(f"it answers HTTP {response.status}")
                    self._note_window(response)
                    return unpack(await _bounded(response))
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise _AwayError(type(error).__name__ + f": {error}") from None
            except ValueError as error:
                self._traffic.dropped["malformed"] += 1
                raise _AwayError(str(error)) from None
        raise _AwayError("it takes no window of its own")

    def _challenged(self, response: aiohttp.ClientResponse) -> bool:
        found = _CHALLENGE.fullmatch(response.headers.get("WWW-Authenticate", ""))
        if found is not None:
            self._window = bytes.fromhex(found[1])
        return found is not None

    def _note_window(self, response: aiohttp.ClientResponse) -> None:
        text = response.headers.get(WINDOW_HEADER, "")
        if _WINDOW.fullmatch(text):
            self._window = bytes.fromhex(text)

    def _away(self, reason: str) -> None:
        self.up.clear()
        reason = one_line(reason)
        if reason != self._said:
            self._log.warning("peer away", url=self.url, reason=reason)
            self._said = reason


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BATCH:
            raise ValueError("the answer is longer than any batch")
    return bytes(body)
