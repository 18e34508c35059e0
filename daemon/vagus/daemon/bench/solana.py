"""A Solana chain to be measured: LiteSVM's devnet, whose slots end by order while intents are asked."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from pydantic import SecretStr
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.pubkey import Pubkey
from typing_extensions import override

from vagus.adapters.solana import hub
from vagus.adapters.solana.adapter import SolanaAdapter
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.deploy import deploy_hub
from vagus.adapters.solana.devnet import Litesvm, dev_wallet
from vagus.adapters.solana.hub import Found, Order
from vagus.adapters.solana.records import Places
from vagus.daemon.bench.backlog import (
    ASKER,
    BARE,
    DEPLOYER,
    PARAMETERS,
    PER_BLOCK,
    Backlog,
    in_turns,
    question,
)
from vagus.daemon.bench.bare import BareClient, bare_client
from vagus.protocol import Account, VagusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from solders.instruction import Instruction
    from solders.transaction import VersionedTransaction

    from vagus.adapters.base import Call, ChainAdapter
    from vagus.daemon.bench.backlog import Work
    from vagus.daemon.bench.bare import Request

__all__ = ["start"]

# Milliseconds of a slot, a quarter of a cluster's: what is measured is work, and waiting little.
_SLOT = 100
_UNITS = 60_000
_SOON = 0.05
_PAGE = 1_000
_ACCOUNTS = 100
_AT_ONCE = 32
_FINAL = {"commitment": "finalized"}
_orders = msgspec.msgpack.Decoder(Order)


@contextlib.asynccontextmanager
async def start(say: Callable[[str], None]) -> AsyncIterator[Backlog]:
    """Start LiteSVM and deploy a hub on it."""
    say("Deploying a hub on LiteSVM")
    async with Litesvm(_SLOT) as litesvm, bare_client(litesvm.rpc) as bare:
        deployed = await deploy_hub(litesvm.rpc, dev_wallet(DEPLOYER), PARAMETERS)
        yield _Solana(litesvm, bare, deployed.account)


class _Solana(Backlog):
    node: ClassVar[str] = "LiteSVM"

    def __init__(self, litesvm: Litesvm, bare: BareClient, account: str) -> None:
        super().__init__(account)
        self._litesvm = litesvm
        self._bare = bare
        self._program = Account.parse(account).address
        self._places = Places(Pubkey.from_string(self._program))
        # Of each intent its transaction and its account; the slots that hold them.
        self._signatures: list[str] = []
        self._accounts: list[str] = []
        self._slots: list[int] = []

    @override
    async def ask(self, intents: int, progress: Callable[[int], None]) -> None:
        await self._litesvm.pace(0)
        wallet, slot = dev_wallet(ASKER), await self._bare.ask("getSlot", [])
        order = hub.request(question(self.hub, await self._bare.ask("getBlockTime", [slot])))
        for done in range(0, intents, PER_BLOCK):
            blockhash = await self._blockhash()
            txs = [
                await wallet.sign([self._instruction(order, wallet.key, nonce)], blockhash)
                for nonce in range(done, min(intents, done + PER_BLOCK))
            ]
            await self._bare.post(*(_sending(tx) for tx in txs))
            await self._litesvm.advance()
            self._signatures += [str(tx.signatures[0]) for tx in txs]
            progress(done + len(txs))
        await self._litesvm.advance(self._litesvm.finality + 1)
        for at in range(0, intents, PER_BLOCK):
            part = self._signatures[at : at + PER_BLOCK]
            statuses = (await self._bare.ask("getSignatureStatuses", [part]))["value"]
            self.intents += sum(each is not None and each["err"] is None for each in statuses)
            self._slots.append(statuses[0]["slot"])
        asker = bytes(wallet.key)
        self._accounts = [str(self._places.intent(asker, nonce)) for nonce in range(intents)]
        if self.intents != intents:
            raise VagusError(f"LiteSVM included {self.intents} of {intents} requests")
        await self._litesvm.pace(_SLOT)

    @override
    def adapter(self, endpoints: int, account: int = 2) -> ChainAdapter:
        values: dict[str, Any] = {
            "id": self._litesvm.chain,
            "hub": self.hub,
            "rpc": [SecretStr(f"{self._litesvm.rpc}/?endpoint={n}") for n in range(endpoints)],
            "ws": SecretStr(self._litesvm.ws),
            "timeout": 60.0,
        }
        return SolanaAdapter(SolanaConfig(**values), dev_wallet(account))

    @override
    async def read_bare(self, endpoints: int) -> None:
        newest = self._signatures[::-1]
        for at in range(0, len(newest) + 1, _PAGE):
            options: dict[str, object] = {"limit": _PAGE, **_FINAL}
            if at:
                options["before"] = newest[at - 1]
            await self._bare.everywhere(
                endpoints, ("getSignaturesForAddress", [self._program, options])
            )
        wanted = _FINAL | {"encoding": "base64", "maxSupportedTransactionVersion": 0}
        requests = (("getTransaction", [each, wanted]) for each in self._signatures)
        await in_turns(
            _AT_ONCE, (partial(self._bare.everywhere, endpoints, each) for each in requests)
        )
        for at in range(0, self.intents, _ACCOUNTS):
            part = [self._accounts[at : at + _ACCOUNTS], _FINAL | {"encoding": "base64"}]
            await self._bare.everywhere(endpoints, ("getMultipleAccounts", part))
        block = _FINAL | {"transactionDetails": "none", "rewards": False}
        for slot in self._slots:
            await self._bare.everywhere(endpoints, ("getBlock", [slot, block]))

    @override
    async def deliver_bare(self, calls: Sequence[Call], endpoints: int) -> list[Work]:
        blockhash, wallet = await self._blockhash(), dev_wallet(BARE)
        work: list[Work] = []
        for call in calls:
            order = _orders.decode(call.data)
            wanted = [set_compute_unit_limit(_UNITS), self._instruction(order, wallet.key, 0)]
            unsigned = wallet.unsigned(wanted, blockhash)
            signed = await wallet.sign(wanted, blockhash)
            work.append(partial(self._carry, unsigned, signed, endpoints))
        return work

    async def _carry(
        self, unsigned: VersionedTransaction, signed: VersionedTransaction, endpoints: int
    ) -> None:
        options = {"encoding": "base64", "replaceRecentBlockhash": True, "commitment": "confirmed"}
        simulated: Request = "simulateTransaction", [_text(unsigned), options]
        await self._bare.everywhere(endpoints, simulated)
        await self._bare.everywhere(endpoints, _sending(signed))
        status: Request = "getSignatureStatuses", [[str(signed.signatures[0])]]
        await self._bare.until(b'"confirmationStatus":"', _SOON, endpoints, status)

    async def _blockhash(self) -> bytes:
        found = await self._bare.ask("getLatestBlockhash", [{"commitment": "confirmed"}])
        return bytes(Hash.from_string(found["value"]["blockhash"]))

    def _instruction(self, order: Order, payer: Pubkey, nonce: int) -> Instruction:
        return hub.call(self._places, order, payer, nonce, Found(), None)


def _sending(tx: VersionedTransaction) -> Request:
    return "sendTransaction", [_text(tx), {"encoding": "base64", "skipPreflight": True}]


def _text(tx: VersionedTransaction) -> str:
    return b64encode(bytes(tx)).decode()
