"""The validator of a development chain, in our hands: blocks come when they are wanted, time moves.

CometBFT lets a validator's key live in another process, which dials a socket of the node and is
asked for each signature ("privval"). This one signs a proposal only up to the height that it was
told, so that the chain stands still between, and says what time it is: a block's time is the median
of its predecessor's precommits (BFT time), and here there is one.

Sources: CometBFT 0.38, proto/tendermint/privval/types.proto and types/canonical.proto.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from vagus.adapters.background import background
from vagus.adapters.cosmos.protobuf import fields, fixed64, message, text, varint
from vagus.adapters.cosmos.protos import Proposal, Vote
from vagus.protocol import VagusError

__all__ = ["ENDLESS", "Validator"]

ENDLESS = 1 << 62
"""A height that no chain reaches: blocks come by themselves."""

_PUB_KEY, _VOTE, _PROPOSAL, _PING = 1, 3, 5, 7
_PRECOMMIT, _PROPOSAL_TYPE = 2, 32
# Seconds that the node waits for a signature before it thinks the validator gone: it waits for five.
_PATIENCE = 2.0
_NANO = 10**9
# Seconds between two tries to reach a node that does not listen.
_REDIAL = 0.02


class Validator:
    """Signs for one node, as an async context manager over its socket.

    `target` is the last height that gets a block. `shift` are the seconds that chain time is ahead
    of the clock.
    """

    def __init__(self, socket: Path, key: SigningKey, target: int = ENDLESS) -> None:
        self.target = target
        self.shift = 0.0
        self._socket = socket
        self._key = key
        self._news = asyncio.Event()
        # Whether the proposal that comes next may be older than the wish for it.
        self._stale = False
        # The height of the proposal that is held, 0 for none.
        self._held = 0
        self._holding = asyncio.Event()
        self._exact = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Dial the node, once it listens, and sign until the end of the block."""
        async with background(validator=self._serve()):
            yield

    def allow(self, height: int) -> None:
        """Let blocks come up to a height; all that is in the node's mempool now is in the first."""
        self._stale = not self._held
        self.target = height
        self._news.set()

    async def stand(self) -> int:
        """Let no more blocks come; wait until that is so, and return the last one's height."""
        self.target = 0
        while not self._held:
            self._holding.clear()
            await self._holding.wait()
        return self._held - 1

    def next_time(self, seconds: int) -> None:
        """Let the block after the next one have this time, and time go on from there."""
        self._exact = seconds * _NANO
        self.shift = seconds - time.time()

    # The node's questions

    async def _serve(self) -> None:
        """Serve the node for ever. One that waited too long hangs up, and is dialled again."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket)
            except OSError:  # the node has not made its socket yet, or has ended
                await asyncio.sleep(_REDIAL)
                continue
            try:
                while True:
                    body = await reader.readexactly(await _read_varint(reader))
                    writer.write(await self._reply(body))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                continue
            finally:
                writer.close()

    async def _reply(self, body: bytes) -> bytes:
        ((kind, question),) = fields(body)
        if not isinstance(question, bytes):
            raise VagusError("the node asked its validator something that is no message")
        answer = message(kind + 1, await self._answer(kind, question))
        return varint(len(answer)) + answer

    async def _answer(self, kind: int, question: bytes) -> bytes:
        if kind == _PUB_KEY:
            return message(1, message(1, bytes(self._key.verify_key)))
        if kind == _PING:
            return b""
        asked = {name: value for name, value in fields(question) if isinstance(value, bytes)}
        chain_id = asked[2].decode()
        if kind == _VOTE:
            return message(1, self._vote(Vote.FromString(asked[1]), chain_id))
        if kind == _PROPOSAL:
            proposal = Proposal.FromString(asked[1])
            if await self._wanted(proposal.height):
                return message(1, self._proposal(proposal, chain_id))
            return message(1, b"") + message(2, text(2, "this chain stands still"))
        raise VagusError(f"the node asked its validator for something unknown: {kind}")

    async def _wanted(self, height: int) -> bool:
        """Hold a proposal until it is known whether it is wanted; then the node makes a fresh one."""
        if height <= self.target:
            stale, self._stale = self._stale, False
            return not stale
        self._news.clear()
        self._held = height
        self._holding.set()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._news.wait()
        except TimeoutError:
            pass
        finally:
            self._held = 0
        # What is held is older than what may have come into the mempool meanwhile.
        return False

    def _vote(self, vote: Any, chain_id: str) -> bytes:
        if vote.type == _PRECOMMIT and vote.block_id.hash:
            least = vote.timestamp.seconds * _NANO + vote.timestamp.nanos
            exact, self._exact = self._exact, 0
            stamp = max(least, exact or time.time_ns() + int(self.shift * _NANO))
            vote.timestamp.seconds, vote.timestamp.nanos = divmod(stamp, _NANO)
        body = b"".join(
            (
                _number(1, vote.type),
                fixed64(2, vote.height),
                fixed64(3, vote.round),
                _block_id(4, vote),
                message(5, vote.timestamp.SerializeToString()),
                text(6, chain_id),
            )
        )
        vote.signature = self._signed(body)
        return bytes(vote.SerializeToString())

    def _proposal(self, proposal: Any, chain_id: str) -> bytes:
        body = b"".join(
            (
                _number(1, _PROPOSAL_TYPE),
                fixed64(2, proposal.height),
                fixed64(3, proposal.round),
                _number(4, proposal.pol_round),
                _block_id(5, proposal),
                message(6, proposal.timestamp.SerializeToString()),
                text(7, chain_id),
            )
        )
        proposal.signature = self._signed(body)
        return bytes(proposal.SerializeToString())

    def _signed(self, body: bytes) -> bytes:
        return self._key.sign(varint(len(body)) + body).signature


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value & (1 << 64) - 1) if value else b""


def _block_id(field: int, signed: Any) -> bytes:
    """The canonical form; a vote for nothing has none."""
    block_id = signed.block_id
    if not block_id.hash:
        return b""
    parts = _number(1, block_id.part_set_header.total) + message(2, block_id.part_set_header.hash)
    return message(field, message(1, block_id.hash) + message(2, parts))


async def _read_varint(reader: asyncio.StreamReader) -> int:
    value = 0
    for place in range(10):
        (byte,) = await reader.readexactly(1)
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value
    raise VagusError("the node's message to its validator has no length")
