"""A Solana chain for the adapters' conformance kit: solana-py and the hub's IDL are the other client."""

import contextlib
import copy
import itertools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionDetails
from typing_extensions import override

from support.impostor import while_blocks_come
from support.solana_idl import Program
from vagus.adapters.base import Block, ChainAdapter, EventFilter, HubParameters
from vagus.adapters.conformance.faults import Fault
from vagus.adapters.conformance.harness import ACCOUNTS, SIGNER, Asked, ChainHarness, Urls
from vagus.adapters.conformance.solana import another_chain, forgeries
from vagus.adapters.solana.adapter import SolanaAdapter
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.deploy import deploy_hub
from vagus.adapters.solana.devnet import Litesvm
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import address_of, keccak256

LACKS = {
    "nonces": "Solana has none: a transaction waits for no other, and the hub's state makes each effect "
    "happen once, so a lane is a counter that tells alike calls apart",
}
FUNDS = 1_000 * 10**9
GRACE = 3_600
PARAMETERS = HubParameters(signers=(address_of(SIGNER),), threshold=1, min_ttl=120, grace=GRACE)
TTL = 3_600


def seed(account: int) -> bytes:
    return keccak256(b"account %d of a conformance run, which everyone knows" % account)


class SolanaHarness(ChainHarness):
    """What LiteSVM's devnet and a Surfpool node have in common."""

    finality = 3
    nobody = b"\x44" * 32

    def __init__(self) -> None:
        self.requester = Keypair.from_seed(keccak256(b"who asks"))
        self.places: dict[bytes, Pubkey] = {}
        """By id, the accounts of the intents that were asked here."""
        self.named: tuple[AccountMeta, ...] = ()
        """Accounts that each request names behind its own."""
        self._nonces = itertools.count(1)
        self._stack = contextlib.AsyncExitStack()

    async def begin(self, stack: contextlib.AsyncExitStack, rpc: str, ws: str) -> None:
        """Fund the accounts and deploy a hub; slots end by themselves meanwhile."""
        self.node = Urls(rpc, ws)
        self.client = await stack.enter_async_context(AsyncClient(rpc, Confirmed))
        await self.started()
        deployer = Wallet(keccak256(b"who deploys"))
        payers = [Wallet(seed(each)).account for each in range(ACCOUNTS)]
        for key in (deployer.account, bytes(self.requester.pubkey()), *payers):
            await self.fund(key, FUNDS)
        hub = await deploy_hub(rpc, deployer, PARAMETERS)
        self.hub = hub.account
        self.chain, _, address = hub.account.rpartition(":")
        self.program = Program(Pubkey.from_string(address))
        self.config_key = self.program.address(b"config")
        self.requested = EventFilter(address, "IntentRequested")

    async def another_hub(self) -> Self:
        """Deploy a second hub like this one, and return a harness that asks that, naming the first."""
        deployer = Wallet(keccak256(b"who deploys another"))
        await self.fund(deployer.account, FUNDS)
        await self.advance()
        hub = await while_blocks_come(self, deploy_hub(self.node.rpc, deployer, PARAMETERS))
        other = copy.copy(self)
        other.program = Program(Pubkey.from_string(hub.account.rpartition(":")[2]))
        other.config_key = other.program.address(b"config")
        other.named = (AccountMeta(self.program.id, False, False),)
        return other

    async def started(self) -> None:
        """What a node needs before it is asked for anything."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

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
            "id": self.chain,
            "hub": self.hub,
            "rpc": [SecretStr(each.rpc) for each in endpoints],
            "poll_interval": poll,
            "timeout": 6.0,
            "max_answer": 4 << 20,
        }
        if endpoints[0].ws is not None:
            values["ws"] = SecretStr(endpoints[0].ws)
        if len(endpoints) > 1:
            values["quorum"] = quorum
        return SolanaAdapter(SolanaConfig(**values), Wallet(seed(account)))

    @override
    async def ask(self, payloads: Sequence[bytes]) -> list[Asked]:
        deadline = (await self.block()).time + TTL
        config = self.program.record("Config", await self.data(self.config_key))
        sent = []
        for payload in payloads:
            nonce = next(self._nonces)
            sent.append(await self.sent(self.request(payload, config["hub_id"], deadline, nonce)))
        await self.advance()
        return [
            await self._asked(each, payload) for each, payload in zip(sent, payloads, strict=True)
        ]

    async def sent(self, *instructions: Instruction) -> Signature:
        """Send a transaction of the requester's; it waits for the next slot."""
        blockhash = (await self.client.get_latest_blockhash()).value.blockhash
        me = self.requester.pubkey()
        message = MessageV0.try_compile(me, list(instructions), [], blockhash)
        raw = bytes(VersionedTransaction(message, [self.requester]))
        return (await self.client.send_raw_transaction(raw, TxOpts(skip_preflight=True))).value

    async def done(self, *instructions: Instruction) -> None:
        """Send a transaction of the requester's, which must succeed in the next slot."""
        signature = await self.sent(*instructions)
        await self.advance()
        (status,) = (await self.client.get_signature_statuses([signature])).value
        assert status is not None
        assert status.err is None, status

    async def close(self, asked: Asked) -> None:
        """Close the account of an intent of the requester's that is over."""
        me = self.requester.pubkey()
        accounts = {
            "config": self.config_key,
            "intent": self.places[asked.intent_id],
            "payer": me,
        }
        await self.done(self.program.call("close_intent", accounts))

    def request(self, payload: bytes, dest: bytes, deadline: int, nonce: int) -> Instruction:
        """A request by the IDL alone."""
        me = self.requester.pubkey()
        arguments = self.program.arguments(
            "request",
            {
                "nonce": nonce,
                "agent_id": keccak256(b"chat@1"),
                "model_digest": bytes(32),
                "min_signers": 0,
                "dest_hub": dest,
                "callback": bytes(32),
                "callback_gas": 0,
                "deadline": deadline,
                "fee": 10**6,
                "payload": payload,
                "terms": b"",
            },
        )
        accounts = {
            "payer": me,
            "config": self.config_key,
            "requester": me,
            "intent": self.program.address(b"intent", bytes(me), nonce.to_bytes(8, "little")),
            "credit": self.program.address(b"credit", bytes(me)),
        }
        return self.program.call("request", accounts, arguments, self.named)

    async def _asked(self, signature: Signature, payload: bytes) -> Asked:
        found = (
            await self.client.get_transaction(
                signature, "json", Confirmed, max_supported_transaction_version=0
            )
        ).value
        assert found is not None
        assert found.transaction.meta is not None
        assert found.transaction.meta.err is None, found.transaction.meta
        logs = found.transaction.meta.log_messages or []
        (event,) = [
            values for name, values in self.program.events(logs) if name == "IntentRequested"
        ]
        me, nonce = bytes(self.requester.pubkey()), event["nonce"].to_bytes(8, "little")
        place = self.program.address(b"intent", me, nonce)
        record = self.program.record("Escrow", await self.data(place))
        self.places[record["intent_id"]] = place
        return Asked(
            record["intent_id"], event["intent"]["seq"], payload, str(signature), found.slot
        )

    async def data(self, key: Pubkey) -> bytes:
        """What an account holds."""
        found = (await self.client.get_account_info(key, Confirmed)).value
        assert found is not None
        return found.data

    @override
    async def block(self, height: int | None = None) -> Block:
        slot = (await self.client.get_slot(Confirmed)).value if height is None else height
        found = (
            await self.client.get_block(
                slot,
                "json",
                max_supported_transaction_version=0,
                commitment=Confirmed,
                transaction_details=TransactionDetails.None_,
                rewards=False,
            )
        ).value
        assert found is not None
        assert found.block_time is not None
        return Block(slot, bytes(found.blockhash), found.block_time)

    @override
    def another_chain(self) -> Fault:
        return another_chain()

    @override
    def forgeries(self) -> Mapping[str, Fault]:
        return forgeries(self.hub, self.nobody, self.places)


class LitesvmHarness(SolanaHarness):
    """LiteSVM's devnet with slots by order alone."""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self.net = await stack.enter_async_context(Litesvm(20, self.finality))
            await self.begin(stack, self.net.rpc, self.net.ws)
            await self.net.pace(0)
            await self.advance(self.finality + 1)
            self._stack = stack.pop_all()
        return self

    @override
    async def advance(self, blocks: int = 1) -> None:
        await self.net.advance(blocks)

    @override
    async def fund(self, account: bytes, amount: int) -> None:
        await self.net.fund(account, amount)

    @override
    async def reorganise(self, depth: int) -> None:
        await self.net.call("devnet_takeBack", depth)
        await self.advance(depth)

    @override
    async def forget(self, tx_id: str) -> None:
        assert await self.net.call("devnet_drop", tx_id)

    @override
    async def pass_time(self, seconds: int) -> None:
        await self.net.call("devnet_warp", seconds)
        await self.advance(self.finality + 1)
