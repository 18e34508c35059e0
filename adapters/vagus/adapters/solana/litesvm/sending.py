"""Simulating and taking transactions, and the faucet."""

from __future__ import annotations

import itertools
from typing import Any

from solders.account import Account
from solders.compute_budget import set_compute_unit_price
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from vagus.adapters.solana.litesvm.encoding import (
    RpcError,
    account_json,
    error_text,
    simulation_json,
)
from vagus.adapters.solana.litesvm.ledger import MAX_AGE, Ledger, Slot
from vagus.adapters.solana.litesvm.params import Params, to_key

__all__ = ["Sending"]

_FUNDS = 10**18
_AIRDROP = 10**16


class Sending:
    """What changes the chain. Everything is simulated on the newest state, whatever is asked."""

    def __init__(self, ledger: Ledger, faucet: Keypair) -> None:
        self._ledger = ledger
        self._faucet = faucet
        self._numbers = itertools.count(1)
        ledger.bank.put(faucet.pubkey(), Account(_FUNDS, b"", Pubkey.default()), 0)

    def simulate(self, params: Params) -> dict[str, Any]:
        """SimulateTransaction."""
        tx, slot = params.transaction(), params.slot(self._ledger)
        verify = params.option("sigVerify", bool, False)
        replace = params.option("replaceRecentBlockhash", bool, False)
        if verify and replace:
            raise RpcError(-32602, "sigVerify may not be used with replaceRecentBlockhash")
        if verify and not all(tx.verify_with_results()):
            raise RpcError(-32003, "Transaction signature verification failure")
        replacement = None
        if replace:
            replacement = {
                "blockhash": str(slot.hash),
                "lastValidBlockHeight": slot.height + MAX_AGE,
            }
        wanted = params.option("accounts", dict, {})
        value = self._simulated(tx, slot, replacement, wanted)
        return {"context": {"apiVersion": "3.0.0", "slot": slot.number}, "value": value}

    def send(self, params: Params) -> str:
        """sendTransaction: it waits until the open slot ends."""
        tx, slot = params.transaction(), params.slot(self._ledger)
        if not params.option("skipPreflight", bool, False):
            if not all(tx.verify_with_results()):
                raise RpcError(-32003, "Transaction signature verification failure")
            at = self._ledger.at(params.commitment(name="preflightCommitment"))
            found = self._simulated(tx, at, None, {})
            if found["err"] is not None:
                text = error_text(found["err"])
                raise RpcError(-32002, f"Transaction simulation failed: {text}", found)
        elif not all(tx.verify_with_results()):
            return str(tx.signatures[0])
        del slot
        self._ledger.take(tx)
        return str(tx.signatures[0])

    def airdrop(self, params: Params) -> str:
        """requestAirdrop: a transfer of the faucet's."""
        amount = params.number(1, _AIRDROP)
        sending = TransferParams(
            from_pubkey=self._faucet.pubkey(), to_pubkey=params.key(0), lamports=amount
        )
        # Two of one amount would else be one transaction.
        tag = set_compute_unit_price(next(self._numbers))
        message = MessageV0.try_compile(
            self._faucet.pubkey(), [tag, transfer(sending)], [], self._ledger.newest.hash
        )
        tx = VersionedTransaction(message, [self._faucet])
        self._ledger.take(tx)
        return str(tx.signatures[0])

    def _simulated(
        self,
        tx: VersionedTransaction,
        at: Slot,
        replacement: dict[str, Any] | None,
        wanted: dict[str, Any],
    ) -> dict[str, Any]:
        if replacement is None:
            if tx.signatures[0] in self._ledger.included:
                return simulation_json(None, "AlreadyProcessed")
            if not self._ledger.is_fresh(tx.message.recent_blockhash, at):
                return simulation_json(None, "BlockhashNotFound")
        outcome, after = self._ledger.bank.simulate(tx)
        accounts = None
        if wanted:
            encoding = wanted.get("encoding", "base64")
            keys = [to_key(each) for each in wanted.get("addresses", [])]
            found = [after.get(key, self._ledger.bank.newest(key)) for key in keys]
            accounts = [account_json(each, encoding) for each in found]
        return simulation_json(outcome, outcome.err, accounts, replacement)
