"""JSON-RPC over HTTP: one request, one bounded answer, typed. Never a second try.

The endpoint's URL may hold an API key: no error and no log repeats it, not even where the node
does.
"""

import asyncio
import contextlib
import itertools
from types import TracebackType
from typing import ClassVar, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import msgspec
from pydantic import SecretStr

from vagus.adapters.errors import BadAnswer, TooLong, TooSlow, Unreachable, printable
from vagus.adapters.evm.codec import data_bytes, hash_bytes, quantity
from vagus.adapters.evm.connector import BoundedConnector
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.urls import endpoint_name
from vagus.protocol import Retry

__all__ = ["Params", "Rpc"]

T = TypeVar("T")
Params: TypeAlias = "list[object] | dict[str, object]"
# Bytes that a connection holds before it stops to be read, half of what it then has.
_BUFFER = 1 << 13
# Bytes of an answer that has one value; the longest is a committee, 5 KB.
_SHORT = 16 << 10
# Calls under way at one endpoint; but for those of `at_once`, more wait for their turn.
_MAX_IN_FLIGHT = 64
_MAX_RETRY_AFTER = 60.0
# Shorter parts of a URL are words such as "v3", which occur in any message.
_SECRET_LENGTH = 8


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Answer(msgspec.Struct):
    id: int | None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_answers = msgspec.json.Decoder(_Answer)
_text = msgspec.json.Decoder(str)


class Rpc:
    """One endpoint, as an async context manager.

    `barred` is why nothing that it says counts, while that is so: it serves another chain. Every
    call but those for the chain's id raises it then, as a `BadAnswer`.
    """

    chain_id: ClassVar[frozenset[str]] = frozenset({"eth_chainId"})
    """The methods that say which chain an endpoint serves."""
    at_once: ClassVar[frozenset[str]] = frozenset({"eth_chainId", "eth_getBlockByNumber"})
    """Those by which the head is read."""
    long: ClassVar[frozenset[str] | None] = frozenset(
        {
            "eth_getBlockByNumber",
            "eth_getCode",
            "eth_getLogs",
            "eth_getTransactionByHash",
            "eth_getTransactionReceipt",
        }
    )
    """Those whose answers may be long (None: any): `max_answer` bounds them, and beyond a short
    answer's bytes those of an endpoint come one after the other."""

    def __init__(self, url: SecretStr, timeout: float, max_answer: int, name: str = "") -> None:
        self.name = name or endpoint_name(url)
        """What may be shown of the endpoint."""
        self.barred = ""
        self.requests = 0
        """How many calls went out."""
        self.failures = 0
        """How many reads ended without a value."""
        self.pending = 0
        """How many reads are under way beside others that ask the same."""
        self.resting_until = 0.0
        """The event loop's time before which an endpoint that did not answer is better left alone."""
        self._url = url
        self._timeout = timeout
        self._max_answer = max_answer
        self._slots = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self._turn = asyncio.Lock()
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=BoundedConnector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            # Nothing is unpacked: a small answer cannot grow in memory.
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            read_bufsize=_BUFFER,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, method: str, params: Params, decoder: msgspec.json.Decoder[T]) -> T:
        """Call a method; its result as the decoder's type.

        Raises `Unreachable`, `BadAnswer`, `NodeError`: all `Retry`.
        """
        if self.barred and method not in self.chain_id:
            raise BadAnswer(self.barred)
        self.requests += 1
        try:
            if method in self.at_once:
                return await self._call(method, params, decoder)
            # Waiting here is waiting for this node: no timeout of the endpoint's counts it.
            async with self._slots:
                return await self._call(method, params, decoder)
        except Unreachable as error:
            self.resting_until = asyncio.get_running_loop().time() + error.after
            raise

    async def _call(self, method: str, params: Params, decoder: msgspec.json.Decoder[T]) -> T:
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        body = await self._post(method, msgspec.json.encode(request))
        answer = self._decode(method, body, _answers)
        if answer.error is not None:
            message = self._shown(answer.error.message)
            raise NodeError(answer.error.code, message, bytes(answer.error.data))
        if answer.id != number:
            raise BadAnswer(f"{self.name}: {method} was answered for another request")
        return self._decode(method, answer.result, decoder)

    async def quantity(self, method: str, params: list[object], bits: int = 256) -> int:
        """Call a method whose result is a QUANTITY."""
        text = await self.call(method, params, _text)
        try:
            return quantity(text, bits)
        except ValueError as error:
            raise BadAnswer(f"{self.name}: {method}: {error}") from None

    async def data(self, method: str, params: list[object]) -> bytes:
        """Call a method whose result is DATA."""
        text = await self.call(method, params, _text)
        try:
            return data_bytes(text)
        except ValueError as error:
            raise BadAnswer(f"{self.name}: {method}: {error}") from None

    async def hash(self, method: str, params: list[object]) -> bytes:
        """Call a method whose result is DATA of 32 bytes."""
        text = await self.call(method, params, _text)
        try:
            return hash_bytes(text)
        except ValueError as error:
            raise BadAnswer(f"{self.name}: {method}: {error}") from None

    async def _post(self, method: str, request: bytes) -> bytes:
        if self._session is None:
            raise RuntimeError("the adapter is used outside of its async with")
        url = self._url.get_secret_value()
        try:
            async with self._session.post(url, data=request, allow_redirects=False) as response:
                if response.status == 429 or response.status >= 500:
                    after = _retry_after(response.headers.get("Retry-After", ""))
                    raise Unreachable(f"{self.name}: {method}: HTTP {response.status}", after)
                body = await self._body(method, response)
                if response.status != 200 and not body.startswith(b"{"):
                    raise Unreachable(f"{self.name}: {method}: HTTP {response.status}", 10)
                return body
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            # Its text and its frames may hold the URL.
            fault = type(error).__name__
        raise Unreachable(f"{self.name}: {method}: {fault}")

    async def _body(self, method: str, response: aiohttp.ClientResponse) -> bytes:
        """Read a body up to its bound, and nothing of one that says that it is longer."""
        short = self.long is not None and method not in self.long
        most = _SHORT if short else self._max_answer
        size, pieces = 0, list[bytes]()
        try:
            async with contextlib.AsyncExitStack() as stack:
                waited = False
                async for piece in response.content.iter_any():
                    size += len(piece)
                    if max(size, response.content_length or 0) > most:
                        raise self._too_long(method, response.status, most)
                    if size > _SHORT and not waited:
                        # What comes meanwhile stays in the sockets' buffers.
                        await stack.enter_async_context(self._turn)
                        waited = True
                    pieces.append(piece)
                return b"".join(pieces)
        except TimeoutError:
            if not size:
                raise
        raise TooSlow(f"{self.name}: {method}: {size} bytes of an answer, and no end in time")

    def _too_long(self, method: str, status: int, most: int) -> Retry:
        if status != 200:
            return Unreachable(f"{self.name}: {method}: HTTP {status}", 10)
        return TooLong(f"{self.name}: {method}: an answer over {most} bytes")

    def _decode(self, method: str, body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            fault = printable(str(error))
        raise BadAnswer(f"{self.name}: {method}: {fault}")

    def masked(self, text: str) -> str:
        """Take out of a node's text what is secret in its URL."""
        parts = urlsplit(self._url.get_secret_value())
        secrets = [*parts.path.split("/"), parts.username or "", parts.password or ""]
        secrets += [value for _, value in parse_qsl(parts.query)]
        for secret in secrets:
            if len(secret) >= _SECRET_LENGTH:
                text = text.replace(secret, "…")
        return text

    def _shown(self, text: str) -> str:
        return printable(self.masked(text))


def _retry_after(header: str) -> float:
    """HTTP's Retry-After in seconds (RFC 9110, 10.2.3), within bounds; a date counts as none."""
    return min(float(header), _MAX_RETRY_AFTER) if header.isascii() and header.isdigit() else 1.0
