"""Slots, blockhashes, what waits and what was included.

A transaction waits until its slot ends, and is executed then: what was sent before `end_slots` is in the
first slot that ends. The slot that is open is "processed", the newest that ended "confirmed", and the
one `finality` below it "finalized".
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from vagus.adapters.solana.litesvm.bank import Bank, Outcome, accounts_of

__all__ = ["MAX_AGE", "SLOT_SECONDS", "Included", "Ledger", "Slot"]

MAX_AGE = 150
"""Blocks for which a blockhash is good."""

SLOT_SECONDS = 0.4
"""Chain time of a slot, where the chain stands still between orders."""

_HASHES = 512
_SYSTEM = Pubkey.default()
# A transaction that fails so is included and pays its fee; one that fails otherwise never was.
_INCLUDED_FAILURES = ("InstructionError", "InsufficientFundsForRent")


@dataclass
class Slot:
    """One slot that has a block."""

    number: int
    height: int
    parent: int
    hash: Hash
    parent_hash: Hash
    time: int
    signatures: list[Signature] = field(default_factory=list)


@dataclass(frozen=True)
class Included:
    """A transaction in a block: its place, and how it ended."""

    tx: VersionedTransaction
    slot: int
    outcome: Outcome


class Ledger:
    """One chain. `finality` is how many slots lie between the newest and the newest final one."""

    def __init__(self, seed: bytes, finality: int, at: int | None = None) -> None:
        self.bank = Bank()
        self.genesis = Hash(hashlib.sha256(b"genesis" + seed).digest())
        self.finality = finality
        self.watchers: list[Callable[[Slot], None]] = []
        self.pace = 0.0
        """Seconds after which a slot ends by itself, in the wall's time; 0: by order alone."""
        self.paced = asyncio.Event()
        """Set when the pace changes."""
        self._ahead = 0.0 if at is None else at - time.time()
        self._now = time.time() + self._ahead
        self._forks = 0
        first = Slot(0, 0, 0, self.genesis, self.genesis, int(self._now))
        self.slots: dict[int, Slot] = {0: first}
        self.order = [0]
        self.open = 1
        self.waiting: dict[Signature, VersionedTransaction] = {}
        self.included: dict[Signature, Included] = {}
        self._of: dict[Pubkey, list[Signature]] = {}
        self._begin()

    # Where the chain stands

    @property
    def newest(self) -> Slot:
        """The newest slot that ended."""
        return self.slots[self.order[-1]]

    @property
    def final(self) -> Slot:
        """The newest final slot."""
        return self.slots[self.order[max(0, len(self.order) - 1 - self.finality)]]

    def at(self, commitment: str) -> Slot:
        """Return the newest slot of a commitment; of the open one what ended before it."""
        return self.final if commitment == "finalized" else self.newest

    def is_fresh(self, blockhash: Hash, at: Slot) -> bool:
        """Whether a transaction with this blockhash may be in the block after a slot."""
        since = self._hashes.get(blockhash)
        return since is not None and since <= at.height <= since + MAX_AGE

    def of(self, key: Pubkey) -> list[Signature]:
        """Return the transactions that name an account, the newest first."""
        return self._of.get(key, [])[::-1]

    # What happens

    def take(self, tx: VersionedTransaction) -> None:
        """Let a transaction wait for the open slot's end."""
        signature = tx.signatures[0]
        if signature not in self.included:
            self.waiting.setdefault(signature, tx)

    def end_slots(self, count: int = 1) -> None:
        """End the open slot with all that waits, then so many less one that are empty."""
        for _ in range(count):
            self._end()

    def skip(self, count: int) -> None:
        """Let so many slots pass without a block."""
        self.open += count
        self._pass(SLOT_SECONDS * count)
        self._begin()

    def warp(self, seconds: float) -> None:
        """Let so much chain time pass in the open slot."""
        self._ahead += seconds
        self._now += seconds
        self._begin()

    def take_back(self, count: int) -> None:
        """Take back the newest blocks: others will have their slots."""
        kept = self.order[: len(self.order) - count]
        if not kept:
            raise ValueError(f"there are {len(self.order)} blocks, and the first one stays")
        for number in self.order[len(kept) :]:
            slot = self.slots.pop(number)
            del self._hashes[slot.hash]
            for signature in slot.signatures:
                included = self.included.pop(signature)
                for key in set(included.outcome.keys):
                    self._of[key].remove(signature)
        self.order = kept
        self._forks += 1
        self.open = kept[-1] + 1
        self.bank.take_back(kept[-1])
        self._begin()

    def set_lamports(self, key: Pubkey, lamports: int) -> None:
        """Set what an account has; a new one is the system program's."""
        found = self.bank.newest(key)
        account = Account(
            lamports,
            found.data if found else b"",
            found.owner if found else _SYSTEM,
            found.executable if found else False,
        )
        # As of the newest slot that ended: whoever asks now has it.
        self.bank.put(key, account, self.newest.number)

    def _end(self) -> None:
        before = self.newest
        number, waiting, self.waiting = self.open, self.waiting, {}
        slot = Slot(number, before.height + 1, before.number, before.hash, before.hash, 0)
        slot.time = self._time
        for signature, tx in waiting.items():
            self._execute(signature, tx, slot, before)
        slot.hash = self._hash(slot)
        self.slots[number] = slot
        self.order.append(number)
        self.open = number + 1
        self._pass(SLOT_SECONDS)
        self._begin()
        for watcher in self.watchers:
            watcher(slot)

    def _execute(
        self, signature: Signature, tx: VersionedTransaction, slot: Slot, before: Slot
    ) -> None:
        if not self.is_fresh(tx.message.recent_blockhash, before):
            return
        payer = self.bank.newest(accounts_of(tx)[0])
        if payer is None:
            return
        outcome = self.bank.execute(tx, slot.number)
        if outcome.err is not None and not _is_included(outcome.err):
            return
        slot.signatures.append(signature)
        self.included[signature] = Included(tx, slot.number, outcome)
        for key in set(outcome.keys):
            self._of.setdefault(key, []).append(signature)

    def _begin(self) -> None:
        """Tell programs of the open slot."""
        numbers = self.order[-_HASHES:][::-1]
        hashes = [(number, self.slots[number].hash) for number in numbers]
        self._hashes = {
            self.slots[number].hash: self.slots[number].height
            for number in self.order[-(MAX_AGE + self.finality + 2) :]
        }
        self._time = max(self.newest.time, int(self._now))
        self.bank.begin(self.open, self._time, hashes)

    def _pass(self, seconds: float) -> None:
        # Slots that end by order take `SLOT_SECONDS` each, whatever the wall says.
        wall = time.time() + self._ahead
        self._now = max(self._now, wall) if self.pace else self._now + seconds

    def _hash(self, slot: Slot) -> Hash:
        parts = [
            bytes(slot.parent_hash),
            slot.number.to_bytes(8, "little"),
            self._forks.to_bytes(4, "little"),
        ]
        parts += [bytes(each) for each in slot.signatures]
        return Hash(hashlib.sha256(b"".join(parts)).digest())


def _is_included(err: Any) -> bool:
    return isinstance(err, dict) and any(name in err for name in _INCLUDED_FAILURES)
