"""The hub's intents, read without a gap: the hub numbers them, and a node that drops logs is caught.

A node that serves a range too large, truncates it, or is behind its own head answers too little
without saying so. So every read is held against the hub's own count, what is missing is read again
in smaller ranges, backwards to the last number that was read before, and what stays missing is a
`Retry`, after which the ranges are smaller still.
"""

from vagus.adapters.base import Block, Cursor, Requested
from vagus.adapters.evm import hub
from vagus.adapters.evm.blocks import read_header, read_inclusion, read_logs
from vagus.adapters.evm.codec import hash_bytes
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.errors import BadAnswer, NodeError
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.views import HubViews
from vagus.protocol import hub_id

__all__ = ["IntentReader"]

_MAX_READS_AGAIN = 256


class IntentReader:
    """Reads IntentRequested in ranges of blocks that shrink where the node fails and grow again."""

    def __init__(self, rpc: Rpc, views: HubViews, config: EvmConfig) -> None:
        self._rpc = rpc
        self._views = views
        self._address = config.account.address
        self._hub_id = hub_id(str(config.account))
        self._most = config.max_log_range
        self._range = config.max_log_range

    async def start(self, final: Block) -> Cursor:
        """Find the block before the hub's deployment, by its time: firstSeq holds that time."""
        config = await self._views.config(final)
        deployed = config.first_seq >> 20
        low, high = 0, final.height
        while low < high:
            middle = (low + high) // 2
            header = await read_header(self._rpc, middle)
            if header is None:
                raise BadAnswer(f"{self._rpc.name} has no block {middle}")
            if header.block.time < deployed:
                low = middle + 1
            else:
                high = middle
        return Cursor(config.first_seq, low - 1)

    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Read one range from the cursor on; see `ChainAdapter.intents`."""
        if cursor.height >= until.height:
            return [], cursor
        last = min(until.height, cursor.height + self._range)
        end = None
        if last == until.height:
            end = (await self._views.config(until)).next_seq
        found = await self._read(cursor.height + 1, last)
        batch = _contiguous(found, cursor.next_seq)
        if not _complete(found, cursor.next_seq + len(batch), end):
            self._range = max(1, (last - cursor.height) // 2)
            await self._read_again(found, cursor.next_seq + len(batch), end, last, until)
            batch = _contiguous(found, cursor.next_seq)
        self._range = min(2 * self._range, self._most)
        return batch, Cursor(cursor.next_seq + len(batch), last)

    async def requested(self, tx_id: str) -> list[Requested]:
        """Read what a transaction asked of the hub, from its receipt; a failed one asked nothing."""
        inclusion = await read_inclusion(self._rpc, hash_bytes(tx_id))
        if inclusion is None or not inclusion.success:
            return []
        try:
            return [
                hub.decode_requested(event, self._hub_id)
                for event in inclusion.events
                if event.address == self._address and event.topics[0] == hub.REQUESTED_TOPIC
            ]
        except ValueError as error:
            raise BadAnswer(f"{self._rpc.name}: an intent in {tx_id}: {error}") from None

    async def _read_again(
        self, found: dict[int, Requested], missing: int, end: int | None, last: int, until: Block
    ) -> None:
        """Read backwards from `last` what is missing, until it is there or was passed."""
        deployed = (await self.start(until)).height + 1
        for _ in range(_MAX_READS_AGAIN):
            first = max(deployed, last - self._range + 1)
            part = await self._read(first, last)
            found.update(part)
            if _complete(found, missing + len(_contiguous(found, missing)), end):
                return
            last = first - 1
            if last < deployed or any(seq < missing for seq in part):
                break
        else:
            # It lies further back than ranges of this size can reach.
            self._range = min(4 * self._range, self._most)
        raise BadAnswer(f"{self._rpc.name}: the logs of {self._address} lack seq {missing}")

    async def _read(self, first: int, last: int) -> dict[int, Requested]:
        try:
            events = await read_logs(self._rpc, self._address, hub.REQUESTED_TOPIC, first, last)
            intents = [hub.decode_requested(event, self._hub_id) for event in events]
        except ValueError as error:
            raise BadAnswer(f"{self._rpc.name}: an intent in {first}..{last}: {error}") from None
        except (NodeError, BadAnswer):
            # Most often a limit on ranges or results, of which every node has its own words.
            self._range = max(1, (last - first + 1) // 2)
            raise
        return {requested.intent.seq: requested for requested in intents}


def _contiguous(found: dict[int, Requested], seq: int) -> list[Requested]:
    batch = []
    while (requested := found.get(seq)) is not None:
        batch.append(requested)
        seq += 1
    return batch


def _complete(found: dict[int, Requested], reached: int, end: int | None) -> bool:
    """Whether nothing is known to be missing, where all before `reached` is there."""
    if end is not None:
        return reached >= end
    return not any(seq > reached for seq in found)
