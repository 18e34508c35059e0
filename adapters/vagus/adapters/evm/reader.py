"""The hub's intents, read without a gap: the hub numbers them, and a node that drops logs is caught.

A node that serves a range too large, truncates it, or is behind its own head answers too little
without saying so. So every read is held against the hub's own count, what is missing is read again
in smaller ranges, backwards to the last number that was read before, and what stays missing is a
`Retry`, after which the ranges are smaller still. Of several endpoints a log counts once a quorum
has it: one that is invented takes no true one's place, and what one leaves out others give.

A stranger may fill a block with intents. The longest, 8,192 bytes of payload and 1,024 of terms, is
9,792 bytes of event, 20 KB of JSON, and costs some 160,000 gas where a contract asks many in one
transaction: 3.8 MB in a block of 30 million gas, 7.6 MB in one of 60, over what an answer may have.
So a block is read in several answers where it must be, by the intents' numbers, which are a topic;
the cursor stands before that block, and counts on within it.
"""

from functools import partial

from vagus.adapters.base import Block, Cursor, Requested
from vagus.adapters.errors import BadAnswer, NoQuorum, TooSlow
from vagus.adapters.evm import hub
from vagus.adapters.evm.blocks import read_header, read_logs, read_logs_of
from vagus.adapters.evm.codec import hash_bytes, word
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.evm.heads import HeadTracker
from vagus.adapters.evm.pace import Pace
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.views import HubViews
from vagus.adapters.quorum import Quorum
from vagus.protocol import hub_id

__all__ = ["IntentReader"]

_MAX_READS_AGAIN = 256


class IntentReader:
    """Reads IntentRequested in ranges of blocks, as large as the endpoints bear."""

    def __init__(
        self, quorum: Quorum[Rpc], tracker: HeadTracker, views: HubViews, config: EvmConfig
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._views = views
        self._address = config.account.address
        self._hub_id = hub_id(str(config.account))
        self._pace = Pace(config.max_log_range)
        self._newest: Block | None = None
        self._search: tuple[int, int, bytes] | None = None
        # The heights and hashes of cursors that came from here: the chain had those blocks.
        self._known: set[tuple[int, bytes]] = set()

    async def start(self, final: Block) -> Cursor:
        """Find the block before the hub's deployment, by its time: firstSeq holds that time."""
        first_seq = (await self._views.config(final)).first_seq
        deployed = first_seq >> 20
        if deployed > final.time:
            raise BadAnswer(f"{self._quorum.name}: a hub of {deployed}, after the final block")
        low, high, before = self._search or (0, final.height, b"")
        while low < high:
            middle = (low + high) // 2
            block = await self._block(middle)
            if block.time < deployed:
                low, before = middle + 1, block.hash
            else:
                high = middle
            # A search of many blocks goes on where an endpoint failed.
            self._search = low, high, before
        self._search = None
        return self._cursor(first_seq, low - 1, before)

    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Read one range from the cursor on; see `ChainAdapter.intents`."""
        await self._check(cursor, until)
        if cursor.height >= until.height:
            return [], cursor
        last = min(until.height, cursor.height + self._pace.blocks)
        end, reached = None, until
        if last == until.height:
            end = (await self._views.config(until)).next_seq
        else:
            reached = await self._block(last)
        numbers = self._pace.numbers(cursor.next_seq)
        found = await self._read(cursor.height + 1, last, numbers)
        batch = _contiguous(found, cursor.next_seq)
        if not _complete(found, cursor.next_seq + len(batch), end, numbers):
            self._pace.slower(last - cursor.height)
            missing = cursor.next_seq + len(batch)
            await self._read_again(found, missing, end, numbers, last, until)
            batch = _contiguous(found, cursor.next_seq)
        self._pace.faster()
        after = cursor.next_seq + len(batch)
        if numbers is None or after < numbers.stop:
            return batch, self._cursor(after, last, reached.hash)
        # The block of the last one may hold more.
        before = batch[-1].height - 1
        if before <= cursor.height:
            return batch, self._cursor(after, cursor.height, cursor.hash)
        return batch, self._cursor(after, before, (await self._block(before)).hash)

    async def _check(self, cursor: Cursor, until: Block) -> None:
        """Halt where a cursor of an earlier process stands on a block that the chain has not."""
        at = cursor.height, cursor.hash
        self._known = {each for each in self._known if each[0] >= cursor.height}
        if not cursor.hash or at in self._known or cursor.height > until.height:
            return
        block = until if cursor.height == until.height else await self._block(cursor.height)
        if block.hash != cursor.hash:
            self._tracker.halt(
                f"block {cursor.height} was final and is another one now: the chain was reorganised "
                "deeper than its finality while the node was down"
            )
        self._known.add(at)

    def _cursor(self, next_seq: int, height: int, block_hash: bytes) -> Cursor:
        self._known.add((height, block_hash))
        return Cursor(next_seq, height, block_hash)

    async def _block(self, height: int) -> Block:
        """Read a final block; the last one is kept for who comes again after a fault elsewhere."""
        if self._newest is not None and self._newest.height == height:
            return self._newest
        header = await self._quorum.agree(
            lambda rpc: read_header(rpc, height), "a final block", fixed=True
        )
        self._newest = header.block
        return header.block

    async def requested(self, tx_id: str) -> list[Requested]:
        """Read what a transaction asked of the hub, from its receipt; a failed one asked nothing."""
        tx = hash_bytes(tx_id)
        events = await self._quorum.agree(
            lambda rpc: read_logs_of(rpc, tx, self._address), "a receipt"
        )
        try:
            return [
                hub.decode_requested(event, self._hub_id)
                for event in events
                if event.topics[0] == hub.REQUESTED_TOPIC
            ]
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: an intent in {tx_id}: {error}") from None

    async def _read_again(
        self,
        found: dict[int, Requested],
        missing: int,
        end: int | None,
        numbers: range | None,
        last: int,
        until: Block,
    ) -> None:
        """Read backwards from `last` what is missing, until it is there or was passed."""
        deployed = (await self.start(until)).height + 1
        # With the one before it, which tells that it was passed.
        again = numbers and range(missing - 1, numbers.stop)
        for _ in range(_MAX_READS_AGAIN):
            first = max(deployed, last - self._pace.blocks + 1)
            part = await self._read(first, last, again)
            found.update(part)
            if _complete(found, missing + len(_contiguous(found, missing)), end, numbers):
                return
            last = first - 1
            if last < deployed or any(seq < missing for seq in part):
                break
        else:
            self._pace.further()
        raise BadAnswer(f"{self._quorum.name}: the logs of {self._address} lack seq {missing}")

    async def _read(self, first: int, last: int, numbers: range | None) -> dict[int, Requested]:
        topics: list[tuple[bytes, ...]] = [(hub.REQUESTED_TOPIC,)]
        if numbers is not None:
            topics += [(), tuple(word(seq) for seq in numbers)]
        ask = partial(read_logs, address=self._address, topics=topics, first=first, last=last)
        try:
            fixed = self._tracker.is_final(last)
            events = await self._quorum.union(ask, "the hub's logs", fixed=fixed)
            intents = [hub.decode_requested(event, self._hub_id) for event in events]
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: an intent in {first}..{last}: {error}") from None
        except (NodeError, BadAnswer, TooSlow, NoQuorum) as error:
            # Most often a limit on ranges or results, of which every node has its own words.
            if not (isinstance(error, NoQuorum) and error.silent):
                self._pace.slower(last - first + 1)
            raise
        return {requested.intent.seq: requested for requested in intents}


def _contiguous(found: dict[int, Requested], seq: int) -> list[Requested]:
    batch = []
    while (requested := found.get(seq)) is not None:
        batch.append(requested)
        seq += 1
    return batch


def _complete(
    found: dict[int, Requested], reached: int, end: int | None, numbers: range | None
) -> bool:
    """Whether nothing is known to be missing, where all before `reached` is there."""
    if numbers is not None and reached >= numbers.stop:
        return True
    if end is not None:
        return reached >= end
    return not any(seq > reached for seq in found)
