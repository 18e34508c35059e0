"""A Cosmos chain for the adapters' conformance kit: wasmd, with cosmpy as the other client."""

import asyncio
import base64
import contextlib
import copy
import gzip
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import grpc
import msgspec
from coincurve import PrivateKey
from cosmpy.aerial.client import LedgerClient
from cosmpy.aerial.config import NetworkConfig
from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey as CosmosKey
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.base.tendermint.v1beta1.query_pb2 import GetBlockByHeightRequest
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import (
    BROADCAST_MODE_SYNC,
    BroadcastTxRequest,
    GetTxRequest,
)
from cosmpy.protos.cosmwasm.wasm.v1.query_pb2 import QuerySmartContractStateRequest
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import (
    MsgExecuteContract,
    MsgInstantiateContract,
    MsgStoreCode,
)
from pydantic import SecretStr
from typing_extensions import override

from support.impostor import while_blocks_come
from vagus.adapters.base import Block, ChainAdapter, EventFilter, HubParameters
from vagus.adapters.conformance import cosmos
from vagus.adapters.conformance.faults import Fault
from vagus.adapters.conformance.harness import ACCOUNTS, SIGNER, Asked, ChainHarness, Urls
from vagus.adapters.cosmos.adapter import CosmosAdapter
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.deploy import deploy_hub
from vagus.adapters.cosmos.devnet import DENOM, DEV_KEYS, GAS_PRICE, PREFIX, Wasmd, dev_wallet
from vagus.adapters.cosmos.wallet import Wallet
from vagus.daemon.wasmd import wasmd_path
from vagus.protocol import Account, address_of, keccak256

# The last two of the ten funded accounts; the kit's payers are the others.
DEPLOYER, REQUESTER = 8, 9
GAS = 600_000
PARAMETERS = HubParameters(signers=(address_of(SIGNER),), threshold=1)


class CosmosHarness(ChainHarness):
    """A steered wasmd: blocks come by order alone, and are final when they are there."""

    def __init__(self, chain_id: str = "vagus-1") -> None:
        self.finality = 0
        # A packed address where no contract is.
        self.nobody = b"\x00" * 12 + b"\x44" * 20
        self._chain_id = chain_id
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            wasmd = Wasmd(wasmd_path(), self._chain_id, steered=True)
            self.wasmd = await stack.enter_async_context(wasmd)
            self.node = Urls(wasmd.rpc, wasmd.ws)
            await wasmd.run()
            deployed = await deploy_hub(wasmd.rpc, dev_wallet(DEPLOYER), PARAMETERS, denom=DENOM)
            await wasmd.hold()
            self.hub, self.code_id = deployed.account, deployed.code_id
            self.address = Account.parse(self.hub).address
            self.requested = EventFilter(self.address, "wasm-intent_requested")
            config = NetworkConfig(
                chain_id=self._chain_id,
                fee_minimum_gas_price=float(GAS_PRICE),
                fee_denomination=DENOM,
                staking_denomination=DENOM,
                url=f"grpc+http://{wasmd.grpc}",
            )
            self.client = LedgerClient(config)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def another_hub(self) -> Self:
        """Deploy a second hub like this one, and return a harness that asks that."""
        deploying = deploy_hub(self.wasmd.rpc, dev_wallet(DEPLOYER), PARAMETERS, denom=DENOM)
        deployed = await while_blocks_come(self, deploying)
        other = copy.copy(self)
        other.address = Account.parse(deployed.account).address
        return other

    @override
    def adapter(
        self,
        endpoints: Sequence[Urls],
        *,
        account: int = 0,
        quorum: int = 1,
        poll: float = 0.05,
    ) -> ChainAdapter:
        values: dict[str, Any] = {
            "id": self.wasmd.chain,
            "chain_id": self._chain_id,
            "hub": self.hub,
            "rpc": [SecretStr(each.rpc) for each in endpoints],
            "quorum": quorum,
            "poll_interval": poll,
            "timeout": 2.0,
            "max_answer": 4 << 20,
            "fee_denom": DENOM,
        }
        if endpoints[0].ws is not None:
            values["ws"] = SecretStr(endpoints[0].ws)
        return CosmosAdapter(CosmosConfig(**values), _wallet(account))

    @override
    async def ask(self, payloads: Sequence[bytes]) -> list[Asked]:
        deadline = (await self.block()).time + 3_600
        hub_id = await self.query("config")
        messages = [
            {
                "request": {
                    "agent_id": keccak256(b"chat@1").hex(),
                    "payload": payload.hex(),
                    "model_digest": "00" * 32,
                    "terms": "",
                    "min_signers": "0",
                    "dest_hub": hub_id["hub_id"],
                    "callback": "00" * 32,
                    "callback_gas": "0",
                    "deadline": str(deadline),
                }
            }
            for payload in payloads
        ]
        wallet = _cosmpy(REQUESTER)
        calls = [
            MsgExecuteContract(
                sender=str(wallet.address()),
                contract=self.address,
                msg=msgspec.json.encode(message),
                funds=[Coin(denom=DENOM, amount=str(10**6))],
            )
            for message in messages
        ]
        sent = await self.send(REQUESTER, calls)
        return [await self._asked(each) for each in sent]

    async def query(self, name: str, **arguments: str) -> Any:
        """A contract's answer, by cosmpy."""
        request = QuerySmartContractStateRequest(
            address=self.address, query_data=msgspec.json.encode({name: arguments})
        )
        answer = await asyncio.to_thread(self.client.wasm.SmartContractState, request)
        return msgspec.json.decode(answer.data)

    async def send(self, account: int, messages: Sequence[Any], gas: int = GAS) -> list[str]:
        """Send one transaction a message, all in the next block; their hashes."""
        sent = await asyncio.to_thread(self._send, account, messages, gas)
        await self.advance()
        return sent

    def _send(self, account: int, messages: Sequence[Any], gas: int) -> list[str]:
        wallet = _cosmpy(account)
        found = self.client.query_account(wallet.address())
        hashes = []
        for number, message in enumerate(messages):
            tx = Transaction()
            tx.add_message(message)
            fee = TxFee(f"{math.ceil(gas * float(GAS_PRICE))}{DENOM}", gas_limit=gas)
            tx.seal(SigningCfg.direct(wallet.public_key(), found.sequence + number), fee)
            tx.sign(wallet.signer(), self._chain_id, found.number)
            request = BroadcastTxRequest(
                tx_bytes=tx.complete().tx.SerializeToString(), mode=BROADCAST_MODE_SYNC
            )
            response = self.client.txs.BroadcastTx(request).tx_response
            assert response.code == 0, response.raw_log
            hashes.append(response.txhash)
        return hashes

    async def store(self, name: str) -> int:
        """Store a build of the package; its code id."""
        code = files("vagus.adapters.cosmos").joinpath("abi", f"{name}.wasm").read_bytes()
        sender = str(_cosmpy(DEPLOYER).address())
        message = MsgStoreCode(sender=sender, wasm_byte_code=gzip.compress(code))
        (tx_id,) = await self.send(DEPLOYER, [message], gas=5_000_000)
        return int(_attribute(await self._found(tx_id), "store_code", "code_id"))

    async def instantiate(self, code_id: int, message: Any, *, admin: bool = False) -> str:
        """Make a contract of stored code, with its deployer as admin or with none; its address."""
        sender = str(_cosmpy(DEPLOYER).address())
        create = MsgInstantiateContract(
            sender=sender,
            admin=sender if admin else "",
            code_id=code_id,
            label="test",
            msg=msgspec.json.encode(message),
        )
        (tx_id,) = await self.send(DEPLOYER, [create])
        return _attribute(await self._found(tx_id), "instantiate", "_contract_address")

    async def _asked(self, tx_id: str) -> Asked:
        found = await self._found(tx_id)
        (event,) = [each for each in found.events if each.type == "wasm-intent_requested"]
        values = {each.key: each.value for each in event.attributes}
        return Asked(
            intent_id=bytes.fromhex(values["intent_id"]),
            seq=int(values["seq"]),
            payload=bytes.fromhex(values["payload"]),
            tx_id=tx_id,
            height=found.height,
        )

    async def _found(self, tx_id: str) -> Any:
        """A transaction's end. It is in its block, and the node's index has it a moment later."""
        request = GetTxRequest(hash=tx_id)
        async with asyncio.timeout(60):
            while True:
                try:
                    answer = await asyncio.to_thread(self.client.txs.GetTx, request)
                    break
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
        found = answer.tx_response
        assert found.code == 0, found.raw_log
        return found

    @override
    async def advance(self, blocks: int = 1) -> None:
        await self.wasmd.advance(blocks)

    @override
    async def block(self, height: int | None = None) -> Block:
        request = GetBlockByHeightRequest(height=height or self.wasmd.height)
        found = await asyncio.to_thread(self.client.tendermint.GetBlockByHeight, request)
        header = found.block.header
        return Block(header.height, found.block_id.hash, header.time.seconds)

    @override
    async def fund(self, account: bytes, amount: int) -> None:
        coin = Coin(denom=DENOM, amount=str(amount))
        to = str(Address(account[12:], prefix=PREFIX))
        sender = str(_cosmpy(DEPLOYER).address())
        await self.send(DEPLOYER, [MsgSend(from_address=sender, to_address=to, amount=[coin])])

    @override
    def another_chain(self) -> Fault:
        return cosmos.another_chain()

    @override
    def forgeries(self) -> Mapping[str, Fault]:
        return cosmos.forgeries(self._chain_id)

    @override
    async def pass_time(self, seconds: int) -> None:
        await self.wasmd.pass_time(seconds)


def _attribute(found: Any, kind: str, key: str) -> str:
    (value,) = {
        each.value
        for event in found.events
        if event.type == kind
        for each in event.attributes
        if each.key == key
    }
    return value


def _wallet(account: int) -> Wallet:
    if account < ACCOUNTS:
        return dev_wallet(account)
    return Wallet(PrivateKey(keccak256(b"a poor account %d" % account)))


def _cosmpy(account: int) -> LocalWallet:
    key = bytes.fromhex(DEV_KEYS[account].removeprefix("0x"))
    return LocalWallet(CosmosKey(base64.b64encode(key).decode()), prefix=PREFIX)
