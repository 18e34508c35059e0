"""Accounts as of each slot, and transactions executed on them.

LiteSVM knows the newest state alone. What it forgets is kept here: every version of an account since
`KEPT` slots, so that a state that is not the newest can be read, and slots can be taken back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

__all__ = ["KEPT", "Bank", "Outcome", "accounts_of"]

KEPT = 1_024
"""Slots whose states can be read, and taken back."""

_LOG_BYTES = 10_000
_LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
_NOTHING = Account(0, b"", Pubkey.default())


@dataclass(frozen=True)
class Outcome:
    """How a transaction ended: `err` is Solana's JSON of its error, None for success."""

    err: Any
    logs: list[str]
    units: int
    fee: int
    inner: list[Any]
    return_data: tuple[Pubkey, bytes] | None
    keys: list[Pubkey]
    loaded: tuple[list[Pubkey], list[Pubkey]]
    before: list[int]
    after: list[int]


@dataclass(frozen=True)
class _Keys:
    """A transaction's accounts: in the order of their indexes, and which of them it may write."""

    all: list[Pubkey]
    loaded: tuple[list[Pubkey], list[Pubkey]]
    writable: list[Pubkey]


class Bank:
    """The accounts of one chain. Signatures and blockhashes are the ledger's to check."""

    def __init__(self) -> None:
        self._svm = (
            LiteSVM()
            .with_blockhash_check(False)
            .with_sigverify(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(_LOG_BYTES)
        )
        self._versions: dict[Pubkey, list[tuple[int, Account | None]]] = {}
        self._owned: dict[Pubkey, set[Pubkey]] = {}

    def begin(self, slot: int, time: int, hashes: list[tuple[int, Hash]]) -> None:
        """Set what programs see of the slot that is executed from now on."""
        clock = self._svm.get_clock()
        self._svm.set_clock(
            Clock(slot, clock.epoch_start_timestamp, clock.epoch, clock.leader_schedule_epoch, time)
        )
        self._svm.set_slot_hashes(hashes)

    def execute(self, tx: VersionedTransaction, slot: int) -> Outcome:
        """Execute a transaction in a slot, and keep what it changed."""
        keys = self._keys(tx)
        before = {key: self.newest(key) for key in keys.all}
        result = self._svm.send_transaction(tx)
        for key in keys.writable:
            self._note(key, before[key], self.newest(key), slot)
        balances = [_lamports(before[key]) for key in keys.all]
        return _outcome(result, keys, balances, [_lamports(self.newest(key)) for key in keys.all])

    def simulate(self, tx: VersionedTransaction) -> tuple[Outcome, dict[Pubkey, Account]]:
        """Execute on the newest state and change nothing; also the accounts as they would be."""
        keys = self._keys(tx)
        result = self._svm.simulate_transaction(tx)
        balances = [_lamports(self.newest(key)) for key in keys.all]
        if isinstance(result, FailedTransactionMetadata):
            return _outcome(result, keys, balances, balances), {}
        accounts = dict(result.post_accounts())
        return _outcome(result.meta(), keys, balances, balances), accounts

    def put(self, key: Pubkey, account: Account, slot: int) -> None:
        """Set an account to anything."""
        before = self.newest(key)
        self._svm.set_account(key, account)
        self._note(key, before, self.newest(key), slot)

    def newest(self, key: Pubkey) -> Account | None:
        """Read an account as it is now; None without lamports."""
        found = self._svm.get_account(key)
        return found if found is not None and found.lamports else None

    def at(self, key: Pubkey, slot: int) -> Account | None:
        """Read an account as it was at the end of a slot."""
        versions = self._versions.get(key)
        if versions is None:
            return self.newest(key)
        return next((account for since, account in reversed(versions) if since <= slot), None)

    def owned(self, program: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """Read the accounts that a program owned at the end of a slot."""
        keys = self._owned.get(program, set())
        found = ((key, self.at(key, slot)) for key in sorted(keys, key=bytes))
        return [(key, each) for key, each in found if each is not None and each.owner == program]

    def changed(self, key: Pubkey, slot: int) -> bool:
        """Whether an account was changed in a slot."""
        return any(since == slot for since, _ in self._versions.get(key, ()))

    def take_back(self, slot: int) -> None:
        """Undo all that was changed after a slot."""
        for key, versions in self._versions.items():
            if versions[-1][0] <= slot:
                continue
            while versions[-1][0] > slot:
                versions.pop()
            self._svm.set_account(key, versions[-1][1] or _NOTHING)

    def rent(self, size: int) -> int:
        """Return the lamports that keep an account of this size."""
        return self._svm.minimum_balance_for_rent_exemption(size)

    def _note(self, key: Pubkey, before: Account | None, after: Account | None, slot: int) -> None:
        if before == after:
            return
        versions = self._versions.setdefault(key, [(-1, before)])
        if versions[-1][0] == slot:
            versions.pop()
        versions.append((slot, after))
        while len(versions) > 1 and versions[1][0] < slot - KEPT:
            versions.pop(0)
        for account in (before, after):
            if account is not None:
                self._owned.setdefault(account.owner, set()).add(key)

    def _keys(self, tx: VersionedTransaction) -> _Keys:
        message = tx.message
        loaded: tuple[list[Pubkey], list[Pubkey]] = ([], [])
        if isinstance(message, MessageV0):
            for lookup in message.address_table_lookups:
                addresses = self._table(lookup.account_key)
                for indexes, keys in (
                    (lookup.writable_indexes, loaded[0]),
                    (lookup.readonly_indexes, loaded[1]),
                ):
                    keys += [addresses[at] for at in indexes if at < len(addresses)]
        static = list(message.account_keys)
        writable = [key for at, key in enumerate(static) if _may_write(message, at)]
        return _Keys([*static, *loaded[0], *loaded[1]], loaded, [*writable, *loaded[0]])

    def _table(self, key: Pubkey) -> list[Pubkey]:
        account = self.newest(key)
        if account is None or account.owner != _LOOKUP_TABLES:
            return []
        return list(AddressLookupTable.deserialize(account.data).addresses)


def accounts_of(tx: VersionedTransaction) -> list[Pubkey]:
    """Return the accounts that a transaction names itself; the fee payer is the first."""
    return list(tx.message.account_keys)


def _may_write(message: Any, at: int) -> bool:
    header, count = message.header, len(message.account_keys)
    signing = header.num_required_signatures
    if at < signing:
        return bool(at < signing - header.num_readonly_signed_accounts)
    return bool(at < count - header.num_readonly_unsigned_accounts)


def _lamports(account: Account | None) -> int:
    return account.lamports if account else 0


def _outcome(
    result: TransactionMetadata | FailedTransactionMetadata,
    keys: _Keys,
    before: list[int],
    after: list[int],
) -> Outcome:
    if isinstance(result, FailedTransactionMetadata):
        err, meta = json.loads(result.to_json())["err"], result.meta()
    else:
        err, meta = None, result
    data = meta.return_data()
    return Outcome(
        err=err,
        logs=list(meta.logs()),
        units=meta.compute_units_consumed(),
        fee=meta.fee(),
        inner=list(meta.inner_instructions()),
        return_data=(data.program_id, bytes(data.data)) if any(bytes(data.program_id)) else None,
        keys=keys.all,
        loaded=keys.loaded,
        before=before,
        after=after,
    )
