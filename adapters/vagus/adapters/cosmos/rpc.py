"""CometBFT's JSON-RPC, and a Cosmos chain's own queries through it (`abci_query`).

Both are bounded, typed and never tried twice; see `vagus.adapters.evm.rpc`, which this is for
another protocol's methods.
"""

from base64 import b64decode
from typing import ClassVar, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message
from typing_extensions import override

from vagus.adapters.cosmos.errors import QueryError, error_text
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.evm.rpc import Params
from vagus.adapters.evm.rpc import Rpc as JsonRpc

__all__ = ["Rpc", "number"]

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_MAX_HEIGHT = 1 << 60
_DIGITS = 20


class _Response(msgspec.Struct):
    height: str = "0"
    code: int = 0
    codespace: str = ""
    log: str = ""
    value: str | None = None


class _Query(msgspec.Struct):
    response: _Response


_queries = msgspec.json.Decoder(_Query)


class Rpc(JsonRpc):
    """One endpoint, as an async context manager."""

    chain_id: ClassVar[frozenset[str]] = frozenset({"abci_info", "blockchain"})
    at_once: ClassVar[frozenset[str]] = chain_id
    long: ClassVar[frozenset[str] | None] = None

    @override
    async def call(self, method: str, params: Params, decoder: msgspec.json.Decoder[T]) -> T:
        """Call a method; its result as the decoder's type. Raises `Retry` alone."""
        try:
            return await super().call(method, params, decoder)
        except NodeError as error:
            # What went wrong stands in the data, "Internal error" in the message.
            said = self._shown(error_text(error.data) or error.message)
            raise NodeError(error.code, said) from None

    async def query(self, path: str, request: Message, kind: type[M], height: int = 0) -> M:
        """Ask a module of the chain, in the state after the block at `height` (0: the newest).

        Raises `QueryError`, a `Retry`, with what the chain says where it refuses to answer.
        """
        question = request.SerializeToString(deterministic=True)
        try:
            decoded: M = kind.FromString(await self.raw_query(path, question, height))
        except DecodeError:
            raise BadAnswer(f"{self.name}: {path}: no {kind.__name__}") from None
        return decoded

    async def raw_query(self, path: str, question: bytes, height: int = 0) -> bytes:
        """Ask as `query` does, and return the answer's bytes."""
        params: dict[str, object] = {
            "path": path,
            "data": question.hex(),
            "height": str(height),
            "prove": False,
        }
        found = (await self.call("abci_query", params, _queries)).response
        if found.code:
            codespace, log = self._shown(found.codespace), self.masked(found.log)
            raise QueryError(self.name, codespace, found.code, log)
        try:
            if height and number(found.height) != height:
                raise ValueError("the state of another height")
            return b64decode(found.value or "", validate=True)
        except ValueError as error:
            raise BadAnswer(f"{self.name}: {path}: {error}") from None


def number(text: str) -> int:
    """Read a height as CometBFT writes it; ValueError for anything that is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError("not a number in decimal digits")
    value = int(text)
    if value > _MAX_HEIGHT:
        raise ValueError(f"{value} is no height")
    return value
