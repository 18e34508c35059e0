"""A requester and an observer who know nothing of vagus but hub.json: web3 does the rest."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account
from web3 import AsyncHTTPProvider, AsyncWeb3, Web3
from web3.types import RPCEndpoint

__all__ = [
    "SETTLED",
    "Asked",
    "Chain",
    "Client",
    "Question",
    "client_of",
    "hurried_client_of",
    "until",
]

T = TypeVar("T")

HUB = Path(__file__).parents[2] / "adapters/vagus/adapters/evm/abi/hub.json"
SETTLED = 2
REQUEST_GAS = 2_000_000
FEE = 10**15


async def until(
    read: Callable[[], Awaitable[T]],
    wanted: Callable[[T], object],
    *,
    within: float = 60.0,
    every: float = 0.1,
) -> T:
    """Read again and again until it is as wanted; AssertionError with what was read last."""
    deadline = time.monotonic() + within
    while not wanted(found := await read()):
        assert time.monotonic() < deadline, f"after {within:g} s still {found!r}"
        await asyncio.sleep(every)
    return found


@dataclass
class Question:
    """What is handed to `request`; `dest` is a chain's number in the client, or a hub's CAIP-10."""

    payload: bytes
    origin: int = 0
    dest: int | str = 1
    agent: str = "chat@1"
    terms: bytes = b""
    model: bytes = bytes(32)
    callback: bytes = bytes(32)
    callback_gas: int = 0
    fee: int = FEE
    ttl: int = 3600


@dataclass
class Asked:
    """An intent on chain: its id, and the chains that it goes from and to."""

    id: bytes
    origin: "Chain"
    dest: "Chain | None"

    @property
    def hex(self) -> str:
        return "0x" + self.id.hex()


class Chain:
    """One hub, as the JSON of `vagus devnet up` names it."""

    def __init__(self, shown: dict[str, str]) -> None:
        self.caip2, self.rpc, self.ws = shown["caip2"], shown["rpc"], shown["ws"]
        self.hub = shown["hub"]
        self.hub_id = bytes(Web3.keccak(text=self.hub))
        self.user = Account.from_key(shown["private_key"])
        self.web3 = AsyncWeb3(AsyncHTTPProvider(self.rpc))
        address = Web3.to_checksum_address(self.hub.rpartition(":")[2])
        self.contract = self.web3.eth.contract(address, abi=json.loads(HUB.read_bytes())["abi"])

    async def now(self) -> int:
        return int((await self.web3.eth.get_block("latest"))["timestamp"])

    async def events(self, name: str, intent_id: bytes) -> list[dict[str, Any]]:
        """The events of that name about an intent, over the whole chain."""
        found = await self.contract.events[name].get_logs(
            from_block=0, argument_filters={"intentId": intent_id}
        )
        return [dict(each["args"]) for each in found]

    async def sent(self, address: str) -> int:
        """How many transactions of an account are in blocks, those that reverted among them."""
        return await self.web3.eth.get_transaction_count(Web3.to_checksum_address(address))

    async def credit(self, address: str) -> int:
        return await self.contract.functions.credit(Web3.to_checksum_address(address)).call()


class Client:
    """Asks on any of the chains, and looks at all of them."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = tuple(chains)
        self.hurrying = asyncio.Event()
        self.hurrying.set()

    async def ask(self, prompt: str, **changes: Any) -> Asked:
        """Ask a chat agent."""
        question = Question(json.dumps({"prompt": prompt}).encode(), **changes)
        return (await self.ask_all([question]))[0]

    async def ask_all(self, questions: Sequence[Question]) -> list[Asked]:
        """Send all at once, and return the intents once each is in a block."""
        nonces = [
            await chain.web3.eth.get_transaction_count(chain.user.address, "pending")
            for chain in self.chains
        ]
        hashes = []
        for question in questions:
            hashes.append(await self._send(question, nonces[question.origin]))
            nonces[question.origin] += 1
        return [await self._asked(*each) for each in zip(questions, hashes, strict=True)]

    async def state(self, asked: Asked) -> int:
        """What the origin's hub says of an intent: 1 open, 2 settled, 3 refunded."""
        return (await asked.origin.contract.functions.intentState(asked.id).call())[0]

    async def settled(self, *intents: Asked, within: float = 60.0) -> None:
        """Wait until the origin's hub has settled all of these."""
        for asked in intents:
            await until(lambda each=asked: self.state(each), SETTLED.__eq__, within=within)

    async def events(self, name: str, asked: Asked) -> list[dict[str, Any]]:
        """An intent's events of that name on all chains."""
        return [each for chain in self.chains for each in await chain.events(name, asked.id)]

    async def hurry(self) -> None:
        """Add blocks for ever, so that nobody waits for those that come each second."""
        while True:
            await self.hurrying.wait()
            for chain in self.chains:
                await chain.web3.provider.make_request(RPCEndpoint("evm_mine"), [])
            await asyncio.sleep(0.15)

    async def _send(self, question: Question, nonce: int) -> bytes:
        chain = self.chains[question.origin]
        dest = self._dest(question)
        call = chain.contract.functions.request(
            Web3.keccak(text=question.agent),
            question.payload,
            question.model,
            question.terms,
            0,
            dest.hub_id if dest else Web3.keccak(text=str(question.dest)),
            question.callback,
            question.callback_gas,
            await chain.now() + question.ttl,
        )
        price = await chain.web3.eth.gas_price
        built = await call.build_transaction(
            {
                "from": chain.user.address,
                "nonce": nonce,
                "gas": REQUEST_GAS,
                "value": question.fee,
                "maxFeePerGas": 2 * price,
                "maxPriorityFeePerGas": price,
            }
        )
        raw = chain.user.sign_transaction(built).raw_transaction
        return bytes(await chain.web3.eth.send_raw_transaction(raw))

    async def _asked(self, question: Question, tx: bytes) -> Asked:
        chain = self.chains[question.origin]
        receipt = await chain.web3.eth.wait_for_transaction_receipt(tx, 30, 0.1)
        assert receipt["status"] == 1, f"the request reverted: {question}"
        (event,) = chain.contract.events.IntentRequested().process_receipt(receipt)
        return Asked(bytes(event["args"]["intentId"]), chain, self._dest(question))

    def _dest(self, question: Question) -> Chain | None:
        return self.chains[question.dest] if isinstance(question.dest, int) else None


@contextlib.asynccontextmanager
async def client_of(shown: Sequence[dict[str, str]]) -> AsyncIterator[Client]:
    """A client of the chains that `vagus devnet up --json` printed."""
    chains = [Chain(each) for each in shown]
    try:
        yield Client(chains)
    finally:
        for chain in chains:
            await chain.web3.provider.disconnect()


@contextlib.asynccontextmanager
async def hurried_client_of(shown: Sequence[dict[str, str]]) -> AsyncIterator[Client]:
    """`client_of`, with blocks mined all the while; that it ended by itself fails the tests."""
    async with client_of(shown) as found:
        miner = asyncio.create_task(found.hurry(), name="miner")
        yield found
        miner.cancel()
        await asyncio.wait([miner])
        assert miner.cancelled()
