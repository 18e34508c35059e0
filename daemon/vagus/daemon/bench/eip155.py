"""An EVM chain to be measured: anvil, with web3.py as the other client."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from coincurve import PrivateKey
from pydantic import SecretStr
from typing_extensions import override
from web3 import AsyncHTTPProvider, AsyncWeb3

from vagus.adapters.evm import hub
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.bench.backlog import (
    ASKER,
    BARE,
    DEPLOYER,
    PARAMETERS,
    PER_BLOCK,
    Backlog,
    question,
)
from vagus.daemon.bench.bare import BareClient, bare_client
from vagus.daemon.fetch import anvil_path
from vagus.protocol import Account, VagusError, keccak256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from web3.types import FilterParams

    from vagus.adapters.base import Call, ChainAdapter
    from vagus.daemon.bench.backlog import Work
    from vagus.daemon.bench.bare import Request

__all__ = ["start"]

_GWEI = 10**9
_GAS = 400_000
# Blocks of one eth_getLogs: five hundred intents, 1.3 MB of JSON, which one answer may have.
_RANGE = 5
_SOON = 0.01


@contextlib.asynccontextmanager
async def start(say: Callable[[str], None]) -> AsyncIterator[Backlog]:
    """Start anvil and deploy a hub on it."""
    async with contextlib.AsyncExitStack() as stack:
        options = ("--gas-limit", str(PER_BLOCK * _GAS))
        anvil = await stack.enter_async_context(Anvil(anvil_path(say), options=options))
        deployed = await deploy_hub(anvil.rpc, _funded(DEPLOYER), PARAMETERS)
        await anvil.call("anvil_setLoggingEnabled", False)
        bare = await stack.enter_async_context(bare_client(anvil.rpc))
        yield _Evm(anvil, bare, deployed.account)


class _Evm(Backlog):
    node: ClassVar[str] = "anvil"
    peer: ClassVar[str] = "web3.py"

    def __init__(self, anvil: Anvil, bare: BareClient, account: str) -> None:
        super().__init__(account)
        self._anvil = anvil
        self._bare = bare
        self._address = bytes.fromhex(Account.parse(account).address[2:])
        self._first = self._last = 0

    @override
    async def ask(self, intents: int, progress: Callable[[int], None]) -> None:
        await self._anvil.call("evm_setIntervalMining", 0)
        latest = await self._bare.ask("eth_getBlockByNumber", ["latest", False])
        self._first = int(latest["number"], 16) + 1
        data = hub.encode_request(question(self.hub, int(latest["timestamp"], 16)))
        wallet = _funded(ASKER)
        for done in range(0, intents, PER_BLOCK):
            nonces = range(done, min(intents, done + PER_BLOCK))
            raws = [await wallet.sign(self._tx(nonce, data, 10**6)) for nonce in nonces]
            await self._bare.post(*(("eth_sendRawTransaction", [_hex(raw)]) for raw in raws))
            await self._anvil.mine(1)
            progress(nonces.stop)
        self._last = int(await self._bare.ask("eth_blockNumber", []), 16)
        self.intents = await self._count(wallet.address)
        if self.intents != intents:
            raise VagusError(f"anvil included {self.intents} of {intents} requests")
        await self._anvil.mine(3)
        await self._anvil.call("evm_setAutomine", True)

    @override
    def adapter(self, endpoints: int, account: int = 2) -> ChainAdapter:
        values: dict[str, Any] = {
            "id": self._anvil.chain,
            "hub": self.hub,
            "rpc": [SecretStr(f"{self._anvil.rpc}/?endpoint={n}") for n in range(endpoints)],
            "ws": SecretStr(self._anvil.ws),
            # Of its own tag a chain with a block for each transaction says more than one look can hold.
            "finality": 2,
            "max_log_range": _RANGE,
            "timeout": 60.0,
        }
        return EvmAdapter(EvmConfig(**values), _funded(account))

    @override
    async def read_bare(self, endpoints: int) -> None:
        for wanted in self._ranges():
            await self._bare.everywhere(endpoints, ("eth_getLogs", [wanted]))

    @override
    async def read_peer(self) -> None:
        provider = AsyncHTTPProvider(self._anvil.rpc)
        web3 = AsyncWeb3(provider)
        address = AsyncWeb3.to_checksum_address(self._address)
        event = web3.eth.contract(address, abi=artifact("hub")["abi"]).events.IntentRequested()
        found = 0
        for wanted in self._ranges():
            logs = await web3.eth.get_logs(cast("FilterParams", wanted))
            found += len([event.process_log(log) for log in logs])
        await provider.disconnect()
        if found != self.intents:
            raise VagusError(f"web3 read {found} of {self.intents} intents")

    @override
    async def deliver_bare(self, calls: Sequence[Call], endpoints: int) -> list[Work]:
        wallet = _funded(BARE)
        first = await self._count(wallet.address)
        return [
            partial(self._carry, call, await wallet.sign(self._tx(nonce, call.data)), endpoints)
            for nonce, call in enumerate(calls, first)
        ]

    async def _carry(self, call: Call, raw: bytes, endpoints: int) -> None:
        sender = _hex(_funded(BARE).address)
        simulated = {"from": sender, "to": call.to, "data": _hex(call.data)}
        await self._bare.everywhere(endpoints, ("eth_estimateGas", [simulated, "latest"]))
        await self._bare.everywhere(endpoints, ("eth_sendRawTransaction", [_hex(raw)]))
        # A block comes with each transaction, so a receipt is seldom asked for twice.
        receipt: Request = "eth_getTransactionReceipt", [_hex(keccak256(raw))]
        await self._bare.until(b'"blockHash":"', _SOON, endpoints, receipt)

    def _tx(self, nonce: int, data: bytes, value: int = 0) -> EvmTx:
        fees = (_GWEI, 10 * _GWEI, _GAS)
        return EvmTx(self._anvil.chain_id, nonce, *fees, self._address, value, data)

    async def _count(self, address: bytes) -> int:
        count = await self._bare.ask("eth_getTransactionCount", [_hex(address), "latest"])
        return int(count, 16)

    def _ranges(self) -> Iterator[dict[str, Any]]:
        for low in range(self._first, self._last + 1, _RANGE):
            yield {
                "address": AsyncWeb3.to_checksum_address(self._address),
                "topics": [_hex(hub.REQUESTED_TOPIC)],
                "fromBlock": hex(low),
                "toBlock": hex(min(self._last, low + _RANGE - 1)),
            }


def _funded(number: int) -> Wallet:
    return Wallet(PrivateKey.from_hex(DEV_KEYS[number].removeprefix("0x")))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
