"""The calls of Solana's JSON-RPC that the adapter, solana-py and solders need.

Reference: https://solana.com/docs/rpc. A method takes its parameters and returns its result.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from solders.keypair import Keypair
from solders.message import from_bytes_versioned

from vagus.adapters.solana.litesvm.accounts import Accounts
from vagus.adapters.solana.litesvm.encoding import (
    RpcError,
    meta_json,
    tx_json,
)
from vagus.adapters.solana.litesvm.history import History, version_of
from vagus.adapters.solana.litesvm.ledger import MAX_AGE, Ledger, Slot
from vagus.adapters.solana.litesvm.params import Params, with_context
from vagus.adapters.solana.litesvm.sending import Sending

__all__ = ["Method", "Methods"]

Method = Callable[[Params], Any]

_MAX_BLOCKS = 500_000
_FEE = 5_000


class Methods:
    """The methods of one ledger, by their names."""

    def __init__(self, ledger: Ledger, faucet: Keypair) -> None:
        self._ledger = ledger
        accounts, history, sending = Accounts(ledger), History(ledger), Sending(ledger, faucet)
        self.by_name: dict[str, Method] = {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: {"solana-core": "3.0.0", "feature-set": 0},
            "getGenesisHash": lambda _: str(ledger.genesis),
            "getIdentity": lambda _: {"identity": str(faucet.pubkey())},
            "getFirstAvailableBlock": lambda _: ledger.order[0],
            "minimumLedgerSlot": lambda _: ledger.order[0],
            "getSlot": self.slot,
            "getBlockHeight": lambda params: params.slot(ledger).height,
            "getEpochInfo": self.epoch,
            "getTransactionCount": lambda _: len(ledger.included),
            "getBlock": self.block,
            "getBlocks": self.blocks,
            "getBlockTime": lambda params: self._slot_of(params.number(0)).time,
            "getLatestBlockhash": self.blockhash,
            "isBlockhashValid": self.blockhash_valid,
            "getAccountInfo": accounts.account,
            "getMultipleAccounts": accounts.accounts,
            "getProgramAccounts": accounts.program_accounts,
            "getBalance": accounts.balance,
            "getMinimumBalanceForRentExemption": lambda params: ledger.bank.rent(
                params.number(0, 10 << 20)
            ),
            "getRecentPrioritizationFees": self.priority_fees,
            "getFeeForMessage": self.fee,
            "getSignatureStatuses": history.statuses,
            "getSignaturesForAddress": history.signatures,
            "getTransaction": history.transaction,
            "simulateTransaction": sending.simulate,
            "sendTransaction": sending.send,
            "requestAirdrop": sending.airdrop,
        }

    # Slots and blocks

    def slot(self, params: Params) -> int:
        """getSlot: the open one is processed."""
        found = params.slot(self._ledger)
        return self._ledger.open if params.commitment() == "processed" else found.number

    def epoch(self, params: Params) -> dict[str, int]:
        """getEpochInfo: all of it is the first epoch."""
        slot = params.slot(self._ledger)
        return {
            "absoluteSlot": slot.number,
            "blockHeight": slot.height,
            "epoch": 0,
            "slotIndex": slot.number,
            "slotsInEpoch": 432_000,
            "transactionCount": len(self._ledger.included),
        }

    def block(self, params: Params) -> dict[str, Any]:
        """getBlock, with signatures, transactions, or neither."""
        slot = self._slot_of(params.number(0), params.commitment())
        found: dict[str, Any] = {
            "blockhash": str(slot.hash),
            "previousBlockhash": str(slot.parent_hash),
            "parentSlot": slot.parent,
            "blockTime": slot.time,
            "blockHeight": slot.height,
        }
        if params.option("rewards", bool, True):
            found["rewards"] = []
        details = params.option("transactionDetails", str, "full")
        if details == "signatures":
            found["signatures"] = [str(each) for each in slot.signatures]
        elif details == "full":
            encoding = params.option("encoding", str, "json")
            included = [self._ledger.included[each] for each in slot.signatures]
            found["transactions"] = [
                {
                    "transaction": tx_json(each, encoding),
                    "meta": meta_json(each.outcome),
                    "version": version_of(each, params),
                }
                for each in included
            ]
        elif details != "none":
            raise RpcError(-32602, f"this development node has no transactionDetails {details!r}")
        return found

    def blocks(self, params: Params) -> list[int]:
        """getBlocks: the slots that have one, both ends included."""
        newest = self._ledger.at(params.commitment()).number
        first = params.number(0)
        given = params.given[1] if len(params.given) > 1 else None
        last = min(given if isinstance(given, int) else newest, newest)
        if last - first > _MAX_BLOCKS:
            raise RpcError(-32602, f"Slot range too large; max {_MAX_BLOCKS}")
        return [number for number in range(first, last + 1) if number in self._ledger.slots]

    def _slot_of(self, number: int, commitment: str = "finalized") -> Slot:
        if number > self._ledger.at(commitment).number:
            raise RpcError(-32004, f"Block not available for slot {number}")
        slot = self._ledger.slots.get(number)
        if slot is None:
            raise RpcError(
                -32007,
                f"Slot {number} was skipped, or missing due to ledger jump to recent snapshot",
            )
        return slot

    # Blockhashes and fees

    def blockhash(self, params: Params) -> dict[str, Any]:
        """getLatestBlockhash: that of the commitment's newest block."""
        slot = params.slot(self._ledger)
        value = {"blockhash": str(slot.hash), "lastValidBlockHeight": slot.height + MAX_AGE}
        return with_context(self._ledger, params.commitment(), value)

    def blockhash_valid(self, params: Params) -> dict[str, Any]:
        """IsBlockhashValid."""
        slot = params.slot(self._ledger)
        return with_context(
            self._ledger, params.commitment(), self._ledger.is_fresh(params.hash(0), slot)
        )

    def priority_fees(self, params: Params) -> list[dict[str, int]]:
        """getRecentPrioritizationFees: nobody competes for a place here."""
        if params.given:
            params.keys(0, 128)
        return [
            {"slot": number, "prioritizationFee": 0} for number in self._ledger.order[-MAX_AGE:]
        ]

    def fee(self, params: Params) -> dict[str, Any]:
        """getFeeForMessage: the base fee; None for a blockhash that is too old."""
        try:
            message = from_bytes_versioned(base64.b64decode(str(params.at(0)), validate=True))
        except Exception as error:  # noqa: BLE001 - solders raises classes of its own
            raise RpcError(-32602, f"failed to deserialize the message: {error}") from None
        slot = params.slot(self._ledger)
        fresh = self._ledger.is_fresh(message.recent_blockhash, slot)
        return with_context(
            self._ledger, params.commitment(), _base_fee(message) if fresh else None
        )


def _base_fee(message: Any) -> int:
    return int(_FEE * message.header.num_required_signatures)
