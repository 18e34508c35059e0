"""The hub's state: accounts as a quorum of endpoints has them, at a commitment, not below a slot.

Solana answers for the newest slot of a commitment alone, so endpoints answer for different ones. Equal
bytes count, whatever the slot. Of the config all but `nextSeq` must be equal, which only
grows: it is the highest that k endpoints reach, as heads are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from solders.pubkey import Pubkey

from vagus.adapters.base import Block, Delivery
from vagus.adapters.errors import BadAnswer, NoQuorum
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.accounts import Account, Seen, read_accounts, search_accounts
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.records import (
    INTENT_ID_AT,
    INTENT_KIND,
    SEQ_AT,
    Config,
    EpochSet,
    Escrow,
    Places,
    credit,
    read_config,
    read_delivery,
    read_escrow,
    read_signers,
)
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import Halt, hub_id

__all__ = ["SEQS", "At", "Counted", "HubViews"]

T = TypeVar("T")

SEQS = 256
"""Intents that one search by seq answers for: those whose seq differs in its lowest byte."""

_MAX_KEPT = 4


class At(NamedTuple):
    """A commitment, and the slot below which no answer counts."""

    commitment: str
    slot: int


class Counted(NamedTuple):
    """The config, and the slot by which all intents below its `next_seq` had been asked."""

    config: Config
    slot: int


class HubViews:
    """The accounts of one hub."""

    def __init__(self, quorum: Quorum[Rpc], config: SolanaConfig) -> None:
        self.program = Pubkey.from_string(config.account.address)
        self.places = Places(self.program)
        self._quorum = quorum
        self._chain = config.id
        self._genesis = config.reference.encode()
        self._hub_id = hub_id(str(config.account))
        self._owner = bytes(self.program)
        # The newest configurations by what they were read for: where endpoints fail, who comes again needs
        # only what is still missing.
        self._kept: dict[tuple[At, bytes], Counted] = {}
        self._sets: dict[int, EpochSet] = {}

    async def kept(self, at: At, block: Block) -> Counted:
        """Return the config as it was read for this block before, else read it."""
        if (known := self._kept.get((at, block.hash))) is not None:
            return known
        while len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        found = self._kept[at, block.hash] = await self.counted(at)
        return found

    async def counted(self, at: At) -> Counted:
        """Read the config. Raises `Halt` if the program is another hub."""

        async def ask(rpc: Rpc) -> Counted:
            seen = await read_accounts(rpc, [self.places.config], *at)
            found = self._own(seen.accounts[0])
            if found is None:
                raise BadAnswer(f"{rpc.name}: there is no hub at {self.program}")
            return Counted(self._decoded(rpc, read_config, found.data), seen.slot)

        def settled(values: list[Counted], missing: int) -> bool:
            seqs = [each.config.next_seq for each in _agreeing(values)]
            return len(seqs) >= self._quorum.needed and self._quorum.certain(seqs, missing)

        found = _agreeing(await self._quorum.reports(ask, "the hub's config", settled))
        if len(found) < self._quorum.needed:
            k, n = self._quorum.needed, len(self._quorum.endpoints)
            raise NoQuorum(f"the hub's config: {k} of {n} endpoints must agree", 1, silent=False)
        next_seq = self._quorum.reached([each.config.next_seq for each in found])
        slot = min(each.slot for each in found if each.config.next_seq >= next_seq)
        config = dataclasses.replace(found[0].config, next_seq=next_seq)
        if config.hub_id != self._hub_id or config.genesis != self._genesis:
            raise Halt(self._chain, f"the program {self.program} is another hub")
        return Counted(config, slot)

    async def signers(self, epoch: int, at: At) -> EpochSet:
        """Read an epoch's signer set, which never changes."""
        if (known := self._sets.get(epoch)) is not None:
            return known

        async def ask(rpc: Rpc) -> EpochSet:
            seen = await read_accounts(rpc, [self.places.signers(epoch)], *at)
            found = self._own(seen.accounts[0])
            if found is None:
                raise BadAnswer(f"{rpc.name}: no signer set of epoch {epoch}")
            return self._decoded(rpc, read_signers, found.data)

        found = await self._quorum.agree(ask, "the hub's signers", fixed=True)
        if found.signers.epoch != epoch:
            raise BadAnswer(f"{self._quorum.name}: another epoch's signer set")
        while len(self._sets) >= _MAX_KEPT:
            del self._sets[next(iter(self._sets))]
        self._sets[epoch] = found
        return found

    async def delivery(self, intent_id: bytes, at: At) -> Delivery | None:
        """Read what was delivered here."""
        found = await self.account(self.places.delivery(intent_id), at)
        if found is None:
            return None
        return self._believed(lambda data: read_delivery(data, intent_id), found.data)

    async def credit(self, owner: bytes, at: At) -> int:
        """Read what an account can withdraw, in lamports."""
        found = await self.account(self.places.credit(owner), at)
        return 0 if found is None else self._believed(lambda data: credit(data, owner), found.data)

    async def escrows(self, keys: Sequence[bytes], at: At) -> list[Escrow | None]:
        """Read intents by their accounts; None where there is none (any more)."""
        found = await self.accounts([Pubkey(key) for key in keys], at)
        return [None if each is None else self._escrow(each) for each in found]

    async def by_id(self, intent_id: bytes, at: At) -> tuple[bytes, Escrow] | None:
        """Search an intent by its id, with its account."""
        return next(iter(await self._search([(INTENT_ID_AT, intent_id)], at)), None)

    async def by_seq(self, seq: int, at: At) -> dict[int, tuple[bytes, Escrow]]:
        """Search the intents whose seq is in the same 256 as this one; by their seqs."""
        part = (seq // SEQS).to_bytes(7, "little")
        found = await self._search([(SEQ_AT + 1, part)], at)
        return {each[1].intent.seq: each for each in found}

    async def account(self, key: Pubkey, at: At) -> Account | None:
        """Read one account of the hub's; None where nothing of the hub's is."""
        return (await self.accounts([key], at))[0]

    async def accounts(self, keys: Sequence[Pubkey], at: At) -> list[Account | None]:
        """Read accounts of the hub's, all of one slot; lamports count for nothing."""

        async def ask(rpc: Rpc) -> Seen:
            return await read_accounts(rpc, keys, *at)

        found = await self._quorum.alike(ask, "the hub's state", key=self._contents)
        return [self._own(each) for each in found[0].accounts]

    async def _search(self, parts: list[tuple[int, bytes]], at: At) -> list[tuple[bytes, Escrow]]:
        wanted = [(0, bytes((INTENT_KIND,))), *parts]

        async def ask(rpc: Rpc) -> list[tuple[bytes, Account]]:
            return await search_accounts(rpc, self.program, wanted, *at)

        found = await self._quorum.alike(
            ask, "the hub's intents", key=lambda each: [(key, one.data) for key, one in each]
        )
        return [(key, self._escrow(one)) for key, one in found[0]]

    def _escrow(self, account: Account) -> Escrow:
        return self._believed(lambda data: read_escrow(data, self._hub_id), account.data)

    def _contents(self, seen: Seen) -> object:
        # Anyone may send lamports to an address: they say nothing.
        return [(own := self._own(each)) and own.data for each in seen.accounts]

    def _own(self, account: Account | None) -> Account | None:
        return account if account is not None and account.owner == self._owner else None

    def _decoded(self, rpc: Rpc, decode: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decode(data)
        except ValueError as error:
            raise BadAnswer(f"{rpc.name}: the hub's account: {error}") from None

    def _believed(self, decode: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decode(data)
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: the hub's account: {error}") from None


def _agreeing(values: list[Counted]) -> list[Counted]:
    """Return the most that agree on all that does not grow."""
    groups: dict[Config, list[Counted]] = {}
    for each in values:
        groups.setdefault(dataclasses.replace(each.config, next_seq=0), []).append(each)
    return max(groups.values(), key=len, default=[])
