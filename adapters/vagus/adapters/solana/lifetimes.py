"""The life of blockhashes: which one to sign with, and when its transaction can never be included any more.

A transaction is good for 150 blocks after that of its blockhash. Ours have a final one, which no fork
takes away. Its own height is not asked for, since one endpoint's word would not do: the final height
that a quorum reaches is not below it by more than endpoints differ, and nothing is given up before 150 blocks and
`_SPARE` behind that are final.
"""

from __future__ import annotations

import msgspec
from solders.hash import Hash

from vagus.adapters.base import Heads
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.blocks import key_bytes, number
from vagus.adapters.solana.heads import HeadTracker
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import Retry

__all__ = ["MAX_AGE", "Lifetime", "Lifetimes"]

MAX_AGE = 150
"""Blocks for which a blockhash is good, counted from its own."""

_SPARE = 10
_FINAL = {"commitment": "finalized"}


class Lifetime(msgspec.Struct, frozen=True):
    """A blockhash, and the block height after which nothing can be included with it."""

    blockhash: bytes
    until: int


class _Latest(msgspec.Struct):
    blockhash: str


class _LatestAnswer(msgspec.Struct):
    value: _Latest


class _ValidAnswer(msgspec.Struct):
    value: bool


_latest = msgspec.json.Decoder(_LatestAnswer)
_valid = msgspec.json.Decoder(_ValidAnswer)
_heights = msgspec.json.Decoder(int)


class Lifetimes:
    """Reads what a signature needs, once for each final slot."""

    def __init__(self, quorum: Quorum[Rpc], tracker: HeadTracker) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._height: tuple[Heads | None, int] = (None, 0)
        self._life: tuple[Heads | None, Lifetime] = (None, Lifetime(b"", 0))

    async def height(self) -> int:
        """Read the final block height that a quorum reaches."""
        heads = self._tracker.heads
        if heads is None or self._height[0] != heads:
            self._height = heads, await self._quorum.floor(_read_height, "the block height")
        return self._height[1]

    async def fresh(self) -> Lifetime:
        """Return the life of a transaction that is signed now."""
        heads = self._tracker.heads
        if heads is None or self._life[0] != heads:
            until = await self.height() + MAX_AGE + _SPARE
            self._life = heads, Lifetime(await self._blockhash(), until)
        return self._life[1]

    async def _blockhash(self) -> bytes:
        """Choose a final blockhash that a quorum takes: one that is invented would be signed for nothing."""
        needed = self._quorum.needed

        def settled(values: list[bytes], _: int) -> bool:
            return any(values.count(each) >= needed for each in values)

        found = await self._quorum.reports(_read_blockhash, "a blockhash", settled)
        # Those that more endpoints name come first; final slots differ by some between endpoints.
        for each in sorted(set(found), key=lambda one: (-found.count(one), one)):
            if found.count(each) >= needed or await self._is_taken(each):
                return each
        raise Retry(f"{self._quorum.name}: no blockhash that enough endpoints take")

    async def _is_taken(self, blockhash: bytes) -> bool:
        async def ask(rpc: Rpc) -> bool:
            params: list[object] = [str(Hash(blockhash)), {"commitment": "confirmed"}]
            return (await rpc.call("isBlockhashValid", params, _valid)).value

        return await self._quorum.agree(ask, "a blockhash")


async def _read_height(rpc: Rpc) -> int:
    try:
        return number(await rpc.call("getBlockHeight", [_FINAL], _heights))
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getBlockHeight: {error}") from None


async def _read_blockhash(rpc: Rpc) -> bytes:
    found = await rpc.call("getLatestBlockhash", [_FINAL], _latest)
    try:
        return key_bytes(found.value.blockhash)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getLatestBlockhash: {error}") from None
