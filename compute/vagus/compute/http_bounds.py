"""What one HTTP call may cost: its deadline, its bytes, and what goes wrong as Retry."""

import asyncio
import contextlib
import email.utils
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from vagus.compute.base import Times
from vagus.compute.connector import FloodError
from vagus.compute.pinning import Reach
from vagus.protocol import Retry

__all__ = ["MAX_ERROR", "PASSING", "Bounded", "Endpoint", "wait_of"]

MAX_WAIT = 3600
# Bytes of an error's body that are read.
MAX_ERROR = 64 << 10
# What of 4xx says not now; the rest says no.
PASSING = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how long to bear with it; seconds and bytes.

    read_timeout is the longest silence within a stream, timeout covers a whole call. max_response
    bounds what a request's own bound leaves open. reach: which addresses the URL may lead to; PUBLIC
    for one that a stranger wrote.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    timeout: float = 120.0
    max_response: int = 2 << 20
    max_in_flight: int = 64
    reach: Reach = Reach.NAMED


class Bounded:
    """One call's clock and bounds."""

    def __init__(self, timeout: float, endpoint: Endpoint, most: int = sys.maxsize) -> None:
        self._now = asyncio.get_running_loop().time
        self._asked = self._started = self._now()
        self._first: float | None = None
        self._room = self._most = min(most, endpoint.max_response)
        self.deadline = self._asked + min(timeout, endpoint.timeout)

    def start(self) -> None:
        """Note that the wait for a slot is over."""
        self._started = self._now()

    def mark_first(self) -> None:
        """Note that the first piece of an answer is there."""
        if self._first is None:
            self._first = self._now()

    def times(self) -> Times:
        """Return how long it took until now."""
        first = None if self._first is None else self._first - self._asked
        return Times(self._started - self._asked, first, self._now() - self._asked)

    async def read(self, response: aiohttp.ClientResponse, silence: float = float("inf")) -> bytes:
        """Return the next bytes of a body, none at its end, within so many seconds."""
        with self.bounded("answering"):
            async with asyncio.timeout_at(min(self.deadline, self._now() + silence)):
                data = await response.content.readany()
        self._room -= len(data)
        if self._room < 0:
            raise Retry(f"the server's answer is over {self._most} bytes")
        return data

    @contextlib.contextmanager
    def bounded(self, doing: str) -> Iterator[None]:
        """Turn what aiohttp and the clock raise into Retry."""
        try:
            yield
        except TimeoutError:
            raise Retry(f"the server took too long {doing}") from None
        except FloodError:
            raise Retry("the server sends too much besides its answer") from None
        except aiohttp.ClientPayloadError:
            raise Retry("the server's answer was cut short, or is not HTTP") from None
        except aiohttp.ClientResponseError:
            raise Retry("the server does not speak HTTP") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retry(f"the connection failed while {doing}: {type(error).__name__}") from None


def wait_of(value: str | None) -> float:
    """Read Retry-After (RFC 9110, 10.2.3: seconds or a date), 1 s when absent, at most an hour."""
    if value is None:
        return 1.0
    try:
        # As whole numbers: hundreds of digits are no float.
        return float(min(max(int(value), 0), MAX_WAIT))
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 1.0
    return min(max(seconds, 0.0), float(MAX_WAIT))
