"""A Cosmos chain: cosmpy, and the events that the hub's page names."""

import asyncio
import base64
import json
import math
from typing import Any

import grpc
from cosmpy.aerial.client import LedgerClient
from cosmpy.aerial.config import NetworkConfig
from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey
from cosmpy.protos.cosmos.base.tendermint.v1beta1.query_pb2 import GetLatestBlockRequest
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import (
    BROADCAST_MODE_SYNC,
    BroadcastTxRequest,
    GetTxRequest,
    GetTxsEventRequest,
)
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import MsgExecuteContract
from web3 import Web3

from support.client import until
from support.worlds.base import AGENT, CALLBACK_GAS, TTL, Chain, Delivered, Settled

__all__ = ["CosmosChain"]

FEE = 2 * 10**4
GAS, GAS_PRICE = 600_000, 0.025
# Blocks after which a node's transactions are void, where its config does not say otherwise.
LIFE = 20
ZERO = "00" * 32

Found = list[dict[str, str]]


class CosmosChain(Chain):
    """cosmpy blocks: its calls run in threads."""

    def __init__(self, shown: dict[str, Any], payer: str) -> None:
        super().__init__(shown, payer)
        self.denom = shown["fee_denom"]
        self.contract = self.hub.rpartition(":")[2]
        self.chain_id = self.caip2.partition(":")[2]
        key = self.secret
        wallet = PrivateKey(base64.b64encode(key).decode())
        self.user = LocalWallet(wallet, prefix=shown["prefix"])
        config = NetworkConfig(
            chain_id=self.chain_id,
            fee_minimum_gas_price=GAS_PRICE,
            fee_denomination=self.denom,
            staking_denomination=self.denom,
            url=f"grpc+http://{shown['grpc']}",
        )
        self.client = LedgerClient(config)
        self._sending = asyncio.Lock()

    @property
    def requester(self) -> bytes:
        return bytes(self.user.address()).rjust(32, b"\0")

    async def close(self) -> None:
        pass

    async def ask(self, payload: bytes, dest: str, callback: bytes) -> bytes:
        latest = await self._latest()
        request = {
            "agent_id": AGENT.hex(),
            "payload": payload.hex(),
            "model_digest": ZERO,
            "terms": "",
            "min_signers": "0",
            "dest_hub": bytes(Web3.keccak(text=dest)).hex(),
            "callback": callback.hex(),
            "callback_gas": str(CALLBACK_GAS if any(callback) else 0),
            "deadline": str(latest.time.seconds + TTL),
        }
        async with self._sending:
            sent = await asyncio.to_thread(self._send, json.dumps({"request": request}).encode())
            found = await until(lambda: asyncio.to_thread(self._ended, sent), bool)
        (event,) = self._of(found, "wasm-intent_requested")
        return bytes.fromhex(event["intent_id"])

    async def deliveries(self, intent_id: bytes) -> list[Delivered]:
        found = await self._events("wasm-delivered", intent_id)
        return [
            Delivered(
                int(each["status"]),
                bytes.fromhex(each["output_hash"]),
                bytes.fromhex(each["evidence_hash"]),
            )
            for each in found
        ]

    async def settlements(self, intent_id: bytes) -> list[Settled]:
        found = await self._events("wasm-settled", intent_id)
        return [Settled(int(each["status"]), int(each["fee"])) for each in found]

    async def outlive(self) -> None:
        until_height = (await self._latest()).height + LIFE
        await until(self._latest, lambda header: header.height > until_height)

    async def sent(self) -> int:
        account = await asyncio.to_thread(self.client.query_account, Address(self.payer))
        return int(account.sequence)

    async def _latest(self) -> Any:
        """The newest block's header."""
        tendermint = self.client.tendermint
        found = await asyncio.to_thread(tendermint.GetLatestBlock, GetLatestBlockRequest())
        return found.block.header

    def _send(self, message: bytes) -> str:
        address = self.user.address()
        account = self.client.query_account(address)
        tx = Transaction()
        tx.add_message(
            MsgExecuteContract(
                sender=str(address),
                contract=self.contract,
                msg=message,
                funds=[Coin(denom=self.denom, amount=str(FEE))],
            )
        )
        fee = TxFee(f"{math.ceil(GAS * GAS_PRICE)}{self.denom}", gas_limit=GAS)
        tx.seal(SigningCfg.direct(self.user.public_key(), account.sequence), fee)
        tx.sign(self.user.signer(), self.chain_id, account.number)
        raw = tx.complete().tx.SerializeToString()
        request = BroadcastTxRequest(tx_bytes=raw, mode=BROADCAST_MODE_SYNC)
        response = self.client.txs.BroadcastTx(request).tx_response
        assert response.code == 0, response.raw_log
        sent: str = response.txhash
        return sent

    def _ended(self, sent: str) -> Any:
        """A transaction of ours that is in a block, None before."""
        try:
            found = self.client.txs.GetTx(GetTxRequest(hash=sent)).tx_response
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None
        assert found.code == 0, found.raw_log
        return found

    async def _events(self, kind: str, intent_id: bytes) -> Found:
        """The hub's events of a type about an intent; a transaction that failed has none."""
        query = f"{kind}.intent_id='{intent_id.hex()}'"
        answer = await asyncio.to_thread(
            self.client.txs.GetTxsEvent, GetTxsEventRequest(query=query)
        )
        events = [each for tx in answer.tx_responses for each in self._of(tx, kind)]
        return [each for each in events if each["intent_id"] == intent_id.hex()]

    def _of(self, tx: Any, kind: str) -> Found:
        found = [
            {a.key: a.value for a in each.attributes} for each in tx.events if each.type == kind
        ]
        return [each for each in found if each["_contract_address"] == self.contract]
