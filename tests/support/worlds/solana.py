"""A Solana chain: solana-py and the hub's IDL."""

import secrets
from typing import Any

import aiohttp
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.models import TxOpts
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import RpcConfirmedTransactionStatusWithSignature
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from web3 import Web3

from support.client import until
from support.solana_idl import Program
from support.worlds.base import AGENT, CALLBACK_GAS, TTL, Chain, Delivered, Settled

__all__ = ["SolanaChain"]

FEE = 2 * 10**7
# Blocks for which a blockhash is good.
LIFE = 150
ZERO = bytes(32)


class SolanaChain(Chain):
    """Reads transactions by the accounts that they must name, and events from their logs."""

    def __init__(self, shown: dict[str, Any], payer: str) -> None:
        super().__init__(shown, payer)
        self.client = AsyncClient(self.rpc, Confirmed)
        self.user = Keypair.from_seed(self.secret)
        self.program = Program(Pubkey.from_string(self.hub.rpartition(":")[2]))
        self.places: dict[bytes, Pubkey] = {}
        """By id, the accounts of the intents that were asked here."""

    @property
    def requester(self) -> bytes:
        return bytes(self.user.pubkey())

    async def close(self) -> None:
        await self.client.close()

    async def ask(self, payload: bytes, dest: str, callback: bytes) -> bytes:
        me, nonce = self.user.pubkey(), secrets.randbits(64)
        place = self.program.address(b"intent", bytes(me), nonce.to_bytes(8, "little"))
        accounts = {
            "payer": me,
            "config": self.program.address(b"config"),
            "requester": me,
            "intent": place,
            "credit": self.program.address(b"credit", bytes(me)),
        }
        slot = (await self.client.get_slot(Finalized)).value
        now = (await self.client.get_block_time(slot)).value
        assert now is not None
        values = {
            "nonce": nonce,
            "agent_id": AGENT,
            "model_digest": ZERO,
            "min_signers": 0,
            "dest_hub": bytes(Web3.keccak(text=dest)),
            "callback": callback,
            "callback_gas": CALLBACK_GAS if any(callback) else 0,
            "deadline": now + TTL,
            "fee": FEE,
            "payload": payload,
            "terms": b"",
        }
        call = self.program.call("request", accounts, self.program.arguments("request", values))
        blockhash = (await self.client.get_latest_blockhash()).value.blockhash
        message = MessageV0.try_compile(me, [call], [], blockhash)
        raw = bytes(VersionedTransaction(message, [self.user]))
        sent = (
            await self.client.send_raw_transaction(raw, TxOpts(preflight_commitment=Confirmed))
        ).value
        await until(lambda: self._confirmed(sent), bool)
        data = (await self.client.get_account_info(place)).value
        assert data is not None
        intent_id: bytes = self.program.record("Escrow", data.data)["intent_id"]
        self.places[intent_id] = place
        return intent_id

    async def deliveries(self, intent_id: bytes) -> list[Delivered]:
        place = self.program.address(b"delivery", intent_id)
        found = await self._events("Delivered", place, intent_id)
        return [
            Delivered(each["status"], each["output_hash"], each["evidence_hash"]) for each in found
        ]

    async def settlements(self, intent_id: bytes) -> list[Settled]:
        found = await self._events("Settled", self.places[intent_id], intent_id)
        return [Settled(each["status"], each["fee"]) for each in found]

    async def callbacks(self, intent_id: bytes) -> list[bool]:
        """Whether they succeeded, of an intent's callbacks."""
        place = self.program.address(b"delivery", intent_id)
        found = await self._events("CallbackResult", place, intent_id)
        return [each["success"] for each in found]

    async def outlive(self) -> None:
        order = {"jsonrpc": "2.0", "id": 1, "method": "devnet_advance", "params": [2 * LIFE]}
        async with aiohttp.ClientSession() as session, session.post(self.rpc, json=order) as answer:
            assert "error" not in await answer.json()

    async def sent(self) -> int:
        return len(await self._sent())

    async def failed(self) -> int:
        """How many of the transactions of the node's account failed."""
        return sum(each.err is not None for each in await self._sent())

    async def staged(self) -> int:
        """How many staging accounts there are, each with somebody's rent in it."""
        found = (await self.client.get_program_accounts(self.program.id, encoding="base64")).value
        kind = self.program.kinds["Staging"]
        return sum(each.account.data[0] == kind for each in found)

    async def _sent(self) -> list[RpcConfirmedTransactionStatusWithSignature]:
        found = (await self.client.get_signatures_for_address(Pubkey.from_string(self.payer))).value
        assert len(found) < 1000, "there may be more"
        return found

    async def _events(self, name: str, place: Pubkey, intent_id: bytes) -> list[dict[str, Any]]:
        """The events of that name about an intent, by the account that each such call writes to."""
        found = (await self.client.get_signatures_for_address(place)).value
        events = []
        for each in found:
            if each.err is None:
                events += self.program.events(await self._logs(each.signature))
        return [one for kind, one in events if (kind, one.get("intent_id")) == (name, intent_id)]

    async def _logs(self, signature: Signature) -> list[str]:
        found = (
            await self.client.get_transaction(
                signature, "json", max_supported_transaction_version=0
            )
        ).value
        assert found is not None
        assert found.transaction.meta is not None
        return found.transaction.meta.log_messages or []

    async def _confirmed(self, signature: Signature) -> bool:
        (status,) = (await self.client.get_signature_statuses([signature])).value
        if status is None or status.confirmation_status is None:
            return False
        assert status.err is None, status
        return True
