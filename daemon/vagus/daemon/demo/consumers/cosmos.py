"""The example consumer on a Cosmos chain."""

from __future__ import annotations

import gzip
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
from coincurve import PrivateKey
from pydantic import SecretStr

from vagus.adapters.cosmos.blocks import read_committed
from vagus.adapters.cosmos.deploy import paying
from vagus.adapters.cosmos.devnet import DENOM
from vagus.adapters.cosmos.protos import (
    MsgExecuteContract,
    MsgInstantiateContract,
    MsgStoreCode,
    QuerySmartContractStateRequest,
    QuerySmartContractStateResponse,
)
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.wallet import Wallet
from vagus.daemon.demo.consumers.base import Consumer
from vagus.protocol import Account, agent_id, pack_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.demo.consumers.base import Place

__all__ = ["deploy"]

_SMART = "/cosmwasm.wasm.v1.Query/SmartContractState"


async def deploy(place: Place, agent: str) -> Consumer:
    """Store its code and instantiate it."""
    wallet = Wallet(PrivateKey(place.secret))
    code = resources.files("vagus.adapters.cosmos").joinpath("abi", "consumer.wasm").read_bytes()
    trust = {"hub": Account.parse(place.hub).address, "agent_id": agent_id(agent).hex()}
    async with paying(place.rpc, wallet, DENOM, "") as payer:
        code = gzip.compress(code, mtime=0)
        stored = await payer.execute(MsgStoreCode(sender=payer.address, wasm_byte_code=code))
        made = await payer.execute(
            MsgInstantiateContract(
                sender=payer.address,
                code_id=int(stored.attribute("store_code", "code_id")),
                label="vagus example consumer",
                msg=msgspec.json.encode(trust),
            )
        )
    return _CosmosConsumer(place, wallet, made.attribute("instantiate", "_contract_address"))


class _CosmosConsumer(Consumer):
    def __init__(self, place: Place, wallet: Wallet, address: str) -> None:
        super().__init__(pack_address(place.caip2, address))
        self._rpc = place.rpc
        self._wallet = wallet
        self._address = address

    async def allow(self, askers: Sequence[tuple[bytes, bytes]]) -> None:
        async with paying(self._rpc, self._wallet, DENOM, "") as payer:
            for hub, requester in askers:
                asker = {"origin_hub": hub.hex(), "requester": requester.hex(), "allowed": True}
                message = msgspec.json.encode({"allow": asker})
                await payer.execute(
                    MsgExecuteContract(sender=payer.address, contract=self._address, msg=message)
                )

    async def answers(self, intent_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        async with Rpc(SecretStr(self._rpc), 10, 1 << 20) as rpc:
            height = await read_committed(rpc)
            for intent_id in intent_ids:
                query = msgspec.json.encode({"answer": {"intent_id": intent_id.hex()}})
                request = QuerySmartContractStateRequest(address=self._address, query_data=query)
                response = await rpc.query(_SMART, request, QuerySmartContractStateResponse, height)
                answer: dict[str, Any] | None = msgspec.json.decode(response.data)
                if answer is not None:
                    found[intent_id] = bytes.fromhex(answer["output"])
        return found
