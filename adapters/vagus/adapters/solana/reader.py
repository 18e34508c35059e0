"""The hub's intents, read without a gap: the hub numbers them, and a node that leaves some out is caught.

Transactions only locate. Each `request` that was executed, at whatever depth, names the account of its
intent, and that account has everything: logs, which are cut off at 10,000 bytes and which any program
may imitate, are not read at all. As many requests as are found, so many numbers must have been
given; what is missing is searched among the hub's accounts, and a number without an account is passed
where its account may be closed, which is long after its deadline. What stays missing is a `Retry`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from solders.pubkey import Pubkey

from vagus.adapters.base import Block, Cursor, Requested
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.accounts import MOST
from vagus.adapters.solana.blocks import Executed, read_block, read_executed, signature_text
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.heads import HeadTracker
from vagus.adapters.solana.hub import REQUEST, REQUESTS_INTENT
from vagus.adapters.solana.listing import Listed, Listing
from vagus.adapters.solana.records import Config, Escrow
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.views import SEQS, At, HubViews
from vagus.protocol import Retry

__all__ = ["IntentReader"]

K = TypeVar("K")
V = TypeVar("V")

_MOST_READ = 512
_AT_ONCE = 32
_KEPT_PLACES = 100_000
_KEPT_READ = 4_096
_KEPT_BLOCKS = 1_024
_NOTHING: tuple[int, int, list[Listed]] = (0, 0, [])


class _Place(NamedTuple):
    """Where an intent was asked: its account, and the transaction."""

    account: bytes
    slot: int
    signature: str


class IntentReader:
    """Reads requests in windows of whole slots, the oldest first."""

    def __init__(
        self, quorum: Quorum[Rpc], tracker: HeadTracker, views: HubViews, config: SolanaConfig
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._views = views
        self._program = bytes(Pubkey.from_string(config.account.address))
        self._listings = {rpc: Listing(rpc, views.program) for rpc in quorum.endpoints}
        # What was listed beyond the newest cursor: after which slot, up to which, and what.
        self._ahead: tuple[int, int, list[Listed]] = _NOTHING
        # By id, the account of an intent that was read; by signature, slot and commitment, what a transaction asked.
        self._places: OrderedDict[bytes, bytes] = OrderedDict()
        self._read: OrderedDict[tuple[str, int | None, str], list[_Place]] = OrderedDict()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        # The slots and hashes of cursors that came from here: the chain had those blocks.
        self._known: set[tuple[int, bytes]] = set()

    async def start(self, final: Block) -> Cursor:
        """Return the cursor before the hub's first intent: the slot before its initialize."""
        config = (await self._views.counted(At("finalized", final.height))).config
        return Cursor(config.first_seq, config.slot - 1)

    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Read one window from the cursor on; see `ChainAdapter.intents`."""
        await self._check(cursor, until)
        if cursor.height >= until.height:
            return [], cursor
        at = At(self._commitment(until.height), until.height)
        counted = await self._views.kept(at, until)
        if counted.config.next_seq <= cursor.next_seq:
            return [], self._cursor(cursor.next_seq, until.height, until.hash)
        listed, bound = await self._list(cursor.height, counted.slot, at)
        end = counted.config.next_seq if bound >= counted.slot else None
        found, next_seq = await self._asked(cursor, listed, end, at, until, counted.config)
        if bound < until.height:
            last = listed[-1].slot if listed else bound
            block_hash = (await self._block(last, at.commitment)).hash if listed else b""
            return await self._read_out(found, at), self._cursor(next_seq, last, block_hash)
        # What is newer than what was asked for counts, and is read once its block is asked for too.
        beyond = [escrow.intent.seq for place, escrow in found if place.slot > until.height]
        within = [each for each in found if each[0].slot <= until.height]
        next_seq = min([*beyond, next_seq])
        return await self._read_out(within, at), self._cursor(next_seq, until.height, until.hash)

    async def requested(self, tx_id: str) -> list[Requested]:
        """Read what a transaction asked of the hub; a failed one asked nothing."""
        signature_text(tx_id)
        at = At("confirmed", 0)
        places = await self._places_of(tx_id, at.commitment)
        escrows = await self._escrows(places, at)
        return await self._read_out(escrows, at)

    async def place(self, intent_id: bytes, at: At) -> tuple[bytes, Escrow] | None:
        """Find an intent by its id: where it was seen before, else by a search; None if there is none."""
        known = self._places.get(intent_id)
        if known is not None:
            (escrow,) = await self._views.escrows([known], at)
            if escrow is not None and escrow.intent.id == intent_id:
                return known, escrow
        found = await self._views.by_id(intent_id, at)
        if found is not None:
            self._remember(intent_id, found[0])
        return found

    def _commitment(self, slot: int) -> str:
        return "finalized" if self._tracker.is_final(slot) else "confirmed"

    async def _check(self, cursor: Cursor, until: Block) -> None:
        """Halt where a cursor of an earlier process stands on a block that the chain has not."""
        at = cursor.height, cursor.hash
        self._known = {each for each in self._known if each[0] >= cursor.height}
        if not cursor.hash or at in self._known or cursor.height > until.height:
            return
        final = cursor.height != until.height
        block = await self._block(cursor.height, "finalized") if final else until
        if block.hash != cursor.hash:
            self._tracker.halt(
                f"slot {cursor.height} was final and has another block now: the chain was "
                "reorganised deeper than its finality while the node was down"
            )
        self._known.add(at)

    def _cursor(self, next_seq: int, slot: int, block_hash: bytes) -> Cursor:
        self._known.add((slot, block_hash))
        return Cursor(next_seq, slot, block_hash)

    # Where requests were

    async def _list(self, after: int, until: int, at: At) -> tuple[list[Listed], int]:
        """List a window of the transactions that name the hub, and up to which slot it has all."""
        final = at.commitment == "finalized"
        begin, bound, ahead = self._ahead if final else _NOTHING
        ahead = [each for each in ahead if each.slot > after]
        # A list that is kept serves windows before its end; the end is held against the newest count.
        if begin > after or len(ahead) <= _MOST_READ:
            bound, ahead = await self._listed(after, until, at.commitment)
        if final:
            self._ahead = after, bound, ahead
        if len(ahead) <= _MOST_READ:
            return ahead, bound
        # Whole slots alone, of which the first may be larger than a window.
        last = max(ahead[0].slot, ahead[_MOST_READ].slot - 1)
        return [each for each in ahead if each.slot <= last], last

    async def _listed(self, after: int, until: int, commitment: str) -> tuple[int, list[Listed]]:
        reached: dict[Rpc, int] = {}

        async def ask(rpc: Rpc) -> list[Listed]:
            listing = self._listings[rpc]
            found = await listing.between(after, until, commitment)
            reached[rpc] = listing.reached
            return found

        found = await self._quorum.union(
            ask, "the hub's transactions", fixed=commitment == "finalized"
        )
        bound = self._quorum.reached(list(reached.values()))
        return bound, [each for each in found if each.slot <= bound]

    async def _locate(self, listed: Iterable[Listed], commitment: str) -> list[_Place]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def read(each: Listed) -> list[_Place] | Retry:
            try:
                async with turns:
                    return await self._places_of(each.signature, commitment, each.slot)
            except Retry as error:
                # The others go on: what they read is kept for who comes again.
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(each), name="read a transaction") for each in listed]
        found = []
        for task in tasks:
            if isinstance(places := task.result(), Retry):
                raise places
            found += places
        return found

    async def _places_of(
        self, signature: str, commitment: str, slot: int | None = None
    ) -> list[_Place]:
        key = signature, slot, commitment
        if (known := self._read.get(key)) is not None:
            return known
        executed = await self._quorum.agree(
            lambda rpc: self._executed(rpc, signature, commitment, slot),
            "a transaction",
            fixed=commitment == "finalized",
        )
        if executed is None or not executed.success:
            return []
        places = [
            _Place(each.accounts[REQUESTS_INTENT], executed.slot, signature)
            for each in executed.ran
            if each.program == self._program
            and each.data[:1] == REQUEST
            and len(each.accounts) > REQUESTS_INTENT
        ]
        _keep(self._read, key, places, _KEPT_READ)
        return places

    async def _executed(
        self, rpc: Rpc, signature: str, commitment: str, slot: int | None
    ) -> Executed | None:
        found = await read_executed(rpc, signature, commitment)
        if slot is not None and (found is None or found.slot != slot):
            raise BadAnswer(f"{rpc.name} listed {signature} in slot {slot} and has it not")
        return found

    # What was asked

    async def _asked(
        self,
        cursor: Cursor,
        listed: list[Listed],
        end: int | None,
        at: At,
        until: Block,
        config: Config,
    ) -> tuple[list[tuple[_Place, Escrow]], int]:
        """Read what these transactions asked, and hold it against the hub's count up to `end`.

        Returns the intents' accounts in the order of `seq`, and the seq behind them.
        """
        places = await self._locate(listed, at.commitment)
        live = {
            escrow.intent.seq: (place, escrow)
            for place, escrow in await self._escrows(places, at)
            if escrow.intent.seq >= cursor.next_seq
        }
        behind = cursor.next_seq + len(places)
        if (end is not None and behind != end) or any(seq >= behind for seq in live):
            closed = len(places) - len(live)
            behind = max(live) + 1 if end is None else end
            wanted = range(cursor.next_seq, behind)
            await self._search(live, wanted, closed, at, until, config)
        return [live[seq] for seq in sorted(live)], behind

    async def _search(
        self,
        live: dict[int, tuple[_Place, Escrow]],
        wanted: range,
        closed: int,
        at: At,
        until: Block,
        config: Config,
    ) -> None:
        """Search what transactions did not show among the hub's accounts.

        As many as were `closed` may lack; more only where all of them may be closed by now.
        """
        missing = [seq for seq in wanted if seq not in live]
        # Each search answers for the 256 seqs around it.
        for seq in {seq // SEQS: seq for seq in missing}.values():
            for number, (account, escrow) in (await self._views.by_seq(seq, at)).items():
                if number in wanted and number not in live:
                    live[number] = await self._traced(account, escrow, at), escrow
        missing = [seq for seq in wanted if seq not in live]
        if len(missing) <= closed:
            return
        self._ahead = _NOTHING  # it may be what lacks them
        heads = self._tracker.heads
        if heads is None or until.time + config.min_ttl + config.grace >= heads.final.time:
            raise BadAnswer(
                f"{self._quorum.name}: the transactions of {self._views.program} lack seq "
                f"{missing[0]}"
            )

    async def _traced(self, account: bytes, escrow: Escrow, at: At) -> _Place:
        """Find the transaction that asked an intent whose account was found without it."""
        listed = await self._quorum.agree(
            lambda rpc: Listing(rpc, Pubkey(account)).between(
                escrow.slot - 1, escrow.slot, at.commitment
            ),
            "an intent's transaction",
        )
        for each in listed:
            for place in await self._places_of(each.signature, at.commitment, each.slot):
                if place.account == account:
                    return place
        raise BadAnswer(f"{self._quorum.name}: no transaction asked seq {escrow.intent.seq}")

    async def _escrows(self, places: list[_Place], at: At) -> list[tuple[_Place, Escrow]]:
        """Read the intents at these places that are still those that were asked there."""
        found: list[tuple[_Place, Escrow]] = []
        for first in range(0, len(places), MOST):
            part = places[first : first + MOST]
            escrows = await self._views.escrows([each.account for each in part], at)
            for place, escrow in zip(part, escrows, strict=True):
                # A nonce is free again once its account is closed: the place may have a later intent.
                if escrow is not None and escrow.slot == place.slot:
                    self._remember(escrow.intent.id, place.account)
                    found.append((place, escrow))
        return found

    async def _read_out(self, found: list[tuple[_Place, Escrow]], at: At) -> list[Requested]:
        """Name the blocks in which these intents were asked."""
        return [
            Requested(
                escrow.intent,
                escrow.payload,
                escrow.terms,
                place.slot,
                (await self._block(place.slot, at.commitment)).hash,
                place.signature,
            )
            for place, escrow in found
        ]

    async def _block(self, slot: int, commitment: str) -> Block:
        if (known := self._blocks.get(slot)) is not None:
            return known
        block = await self._quorum.agree(
            lambda rpc: read_block(rpc, slot, commitment),
            "a final block",
            fixed=commitment == "finalized",
        )
        if commitment == "finalized":
            _keep(self._blocks, slot, block, _KEPT_BLOCKS)
        return block

    def _remember(self, intent_id: bytes, account: bytes) -> None:
        _keep(self._places, intent_id, account, _KEPT_PLACES)


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
