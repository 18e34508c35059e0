"""An EVM chain for the adapters' conformance kit: anvil, with web3 as the other client."""

import contextlib
import copy
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from coincurve import PrivateKey
from eth_account import Account
from pydantic import SecretStr
from typing_extensions import override
from web3 import AsyncHTTPProvider, AsyncWeb3

from support.impostor import while_blocks_come
from vagus.adapters.base import Block, ChainAdapter, EventFilter, HubParameters
from vagus.adapters.conformance.evm import forgeries, result
from vagus.adapters.conformance.faults import Fault
from vagus.adapters.conformance.harness import ACCOUNTS, SIGNER, Asked, ChainHarness, Urls
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.deploy import artifact, deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.protocol import address_of, keccak256

# The last two of the ten accounts that anvil funds; the kit's payers are the others.
DEPLOYER, REQUESTER = 8, 9
REQUESTED = (
    "IntentRequested(bytes32,uint64,(bytes32,uint64,bytes32,bytes32,bytes32,bytes32,bytes32,"
    "uint64,bytes32,bytes32,uint64,bytes32,uint256,uint64),bytes,bytes)"
)
GAS = 400_000
PARAMETERS = HubParameters(signers=(address_of(SIGNER),), threshold=1)


class EvmHarness(ChainHarness):
    """anvil with blocks by order alone, the one two below the newest final by its own tag.

    `confirmations` makes finality a number of blocks instead.
    """

    def __init__(self, confirmations: int | None = None) -> None:
        self.finality = confirmations or 2
        self.nobody = b"\x00" * 12 + b"\x44" * 20
        self._rule: str | int = confirmations or "finalized"
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self.anvil = await stack.enter_async_context(Anvil(anvil_path()))
            hub = await deploy_hub(self.anvil.rpc, _funded(DEPLOYER), PARAMETERS)
            await self.anvil.call("evm_setIntervalMining", 0)
            await self.anvil.call("anvil_setLoggingEnabled", False)
            await self.anvil.mine(self.finality + 1)
            self.hub = hub.account
            self.node = Urls(self.anvil.rpc, self.anvil.ws)
            provider = AsyncHTTPProvider(self.anvil.rpc)
            stack.push_async_callback(provider.disconnect)
            self.web3 = AsyncWeb3(provider)
            address = AsyncWeb3.to_checksum_address(hub.address)
            self.contract: Any = self.web3.eth.contract(address, abi=artifact("hub")["abi"])
            self.requested = EventFilter(address.lower(), REQUESTED)
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
        deploying = deploy_hub(self.anvil.rpc, _funded(DEPLOYER), PARAMETERS)
        hub = await while_blocks_come(self, deploying)
        other = copy.copy(self)
        address = AsyncWeb3.to_checksum_address(hub.address)
        other.contract = self.web3.eth.contract(address, abi=self.contract.abi)
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
            "id": self.anvil.chain,
            "hub": self.hub,
            "rpc": SecretStr(endpoints[0].rpc),
            "finality": self._rule,
            "poll_interval": poll,
            "timeout": 2.0,
            "max_answer": 4 << 20,
        }
        if endpoints[0].ws is not None:
            values["ws"] = SecretStr(endpoints[0].ws)
        if len(endpoints) > 1:
            values["rpc"] = [SecretStr(each.rpc) for each in endpoints]
            values["quorum"] = quorum
        return EvmAdapter(EvmConfig(**values), _wallet(account))

    @override
    async def ask(self, payloads: Sequence[bytes]) -> list[Asked]:
        requester = Account.from_key(DEV_KEYS[REQUESTER])
        nonce = await self.web3.eth.get_transaction_count(requester.address)
        deadline = (await self.block()).time + 3_600
        hub_id = await self.contract.functions.hubId().call()
        sent = []
        for number, payload in enumerate(payloads):
            call = self.contract.functions.request(
                *(keccak256(b"chat@1"), payload, bytes(32), b"", 0, hub_id, bytes(32), 0),
                deadline,
            )
            tx = await call.build_transaction(
                {
                    "from": requester.address,
                    "nonce": nonce + number,
                    "value": 10**6,
                    "gas": GAS,
                    "maxFeePerGas": 10 * 10**9,
                    "maxPriorityFeePerGas": 10**9,
                }
            )
            raw = requester.sign_transaction(tx).raw_transaction
            sent.append(await self.web3.eth.send_raw_transaction(raw))
        await self.advance()
        return [await self._asked(each) for each in sent]

    async def _asked(self, tx: Any) -> Asked:
        receipt = await self.web3.eth.get_transaction_receipt(tx)
        assert receipt["status"] == 1
        (event,) = self.contract.events.IntentRequested().process_receipt(receipt)
        values = event["args"]
        return Asked(
            intent_id=bytes(values["intentId"]),
            seq=values["seq"],
            payload=bytes(values["payload"]),
            tx_id=receipt["transactionHash"].to_0x_hex(),
            height=receipt["blockNumber"],
        )

    @override
    async def advance(self, blocks: int = 1) -> None:
        await self.anvil.mine(blocks)

    @override
    async def block(self, height: int | None = None) -> Block:
        found: Any = await self.web3.eth.get_block("latest" if height is None else height)
        return Block(found["number"], bytes(found["hash"]), found["timestamp"])

    @override
    async def fund(self, account: bytes, amount: int) -> None:
        await self.anvil.fund(account[12:], amount)

    @override
    def another_chain(self) -> Fault:
        return result("eth_chainId", lambda _: "0x1")

    @override
    def forgeries(self) -> Mapping[str, Fault]:
        return forgeries(self.hub)

    @override
    async def reorganise(self, depth: int) -> None:
        await self.anvil.call("anvil_reorg", depth, [])

    @override
    async def forget(self, tx_id: str) -> None:
        assert await self.anvil.call("anvil_dropTransaction", tx_id) is not None

    @override
    async def pass_time(self, seconds: int) -> None:
        await self.anvil.call("evm_increaseTime", seconds)
        await self.anvil.mine(self.finality + 1)


def _wallet(account: int) -> Wallet:
    if account < ACCOUNTS:
        return _funded(account)
    return Wallet(PrivateKey(keccak256(b"a poor account %d" % account)))


def _funded(account: int) -> Wallet:
    return Wallet(PrivateKey.from_hex(DEV_KEYS[account].removeprefix("0x")))
