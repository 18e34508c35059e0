"""A hub on anvil with a backlog: intents that were asked, and nobody answered yet."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from coincurve import PrivateKey
from pydantic import SecretStr

from vagus.adapters.base import HubParameters, Question
from vagus.adapters.evm import hub
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.protocol import (
    ZERO32,
    Account,
    VagusError,
    address_of,
    agent_id,
    hub_id,
    keccak256,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = [
    "GWEI",
    "RANGE",
    "SIGNER",
    "Backlog",
    "BareClient",
    "adapter_over",
    "backlog",
    "funded",
    "quorum_of",
    "timed",
]

GWEI = 10**9
SIGNER = PrivateKey(keccak256(b"a committee for measuring only"))

RANGE = 5
"""Blocks of one eth_getLogs: five hundred intents, 1.3 MB of JSON, which one answer may have."""

_PER_BLOCK = 100
_GAS = 400_000
_BLOCK_GAS = _PER_BLOCK * _GAS
_PAYLOAD = msgspec.json.encode({"prompt": "x" * 300})
_SECONDS = 6 * 3_600


@dataclass(frozen=True, slots=True)
class Backlog:
    """A running chain; `hub` is CAIP-10, `first` and `last` are the heights that hold intents."""

    anvil: Anvil
    bare: BareClient
    hub: str
    intents: int
    first: int
    last: int

    @property
    def address(self) -> bytes:
        """The hub's 20-byte address."""
        return bytes.fromhex(Account.parse(self.hub).address[2:])


class BareClient:
    """JSON-RPC without any looking: what a node's answers cost the chain alone."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._ids = itertools.count(1)

    async def post(self, *calls: tuple[str, list[object]]) -> bytes:
        """Send calls, as a batch where there are several; the answer's bytes, unread."""
        requests = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in calls
        ]
        body = msgspec.json.encode(requests[0] if len(requests) == 1 else requests)
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            return await response.read()

    async def ask(self, method: str, *params: object) -> Any:
        """Call a method; VagusError where the node says no."""
        answer = msgspec.json.decode(await self.post((method, list(params))))
        if "result" not in answer:
            raise VagusError(f"anvil: {method}: {answer.get('error')}")
        return answer["result"]


def funded(number: int) -> Wallet:
    """Return one of the accounts that anvil funds: 0 deploys, 1 asks, the others deliver."""
    return Wallet(PrivateKey.from_hex(DEV_KEYS[number].removeprefix("0x")))


def quorum_of(endpoints: int) -> str:
    """Say how many of so many endpoints must agree."""
    return f"{endpoints // 2 + 1} of {endpoints}"


def adapter_over(asked: Backlog, endpoints: int, account: int = 2) -> EvmAdapter:
    """Make an adapter; several endpoints are one anvil under several names, with all their work."""
    values: dict[str, Any] = {
        "id": asked.anvil.chain,
        "hub": asked.hub,
        "rpc": [SecretStr(f"{asked.anvil.rpc}/?endpoint={n}") for n in range(endpoints)],
        "ws": SecretStr(asked.anvil.ws),
        # Of its own tag a chain with a block for each transaction says more than one look can hold.
        "finality": 2,
        "max_log_range": RANGE,
        "timeout": 60.0,
    }
    return EvmAdapter(EvmConfig(**values), funded(account))


async def timed(work: Awaitable[None]) -> float:
    """Return the seconds that it takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


@contextlib.asynccontextmanager
async def backlog(intents: int, progress: Callable[[int, int], None]) -> AsyncIterator[Backlog]:
    """Start anvil, deploy a hub and ask; `progress` is told how many of them are asked so far.

    At the end every intent is final, and from then on a block comes with each transaction.
    """
    options = ("--gas-limit", str(_BLOCK_GAS))
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(Anvil(anvil_path(), options=options))
        parameters = HubParameters(signers=(address_of(SIGNER),), threshold=1)
        deployed = await deploy_hub(anvil.rpc, funded(0), parameters)
        await anvil.call("anvil_setLoggingEnabled", False)
        await anvil.call("evm_setIntervalMining", 0)
        timeout = aiohttp.ClientTimeout(total=120)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        bare = BareClient(session, anvil.rpc)
        first = int(await bare.ask("eth_blockNumber"), 16) + 1
        await _ask(anvil, bare, deployed.account, intents, progress)
        last = int(await bare.ask("eth_blockNumber"), 16)
        await anvil.mine(3)
        await anvil.call("evm_setAutomine", True)
        yield Backlog(anvil, bare, deployed.account, intents, first, last)


async def _ask(
    anvil: Anvil, bare: BareClient, account: str, intents: int, progress: Callable[[int, int], None]
) -> None:
    wallet = funded(1)
    now = int((await bare.ask("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    data = hub.encode_request(
        Question(
            agent_id=agent_id("chat@1"),
            payload=_PAYLOAD,
            model_digest=ZERO32,
            terms=b"",
            min_signers=0,
            dest_hub=hub_id(account),
            callback=ZERO32,
            callback_gas=0,
            deadline=now + _SECONDS,
            fee=10**6,
        )
    )
    to = bytes.fromhex(Account.parse(account).address[2:])
    for done in range(0, intents, _PER_BLOCK):
        count = min(_PER_BLOCK, intents - done)
        raws = [
            wallet.sign(EvmTx(anvil.chain_id, nonce, GWEI, 10 * GWEI, _GAS, to, 10**6, data))
            for nonce in range(done, done + count)
        ]
        calls: list[tuple[str, list[object]]] = [
            ("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws
        ]
        await bare.post(*calls)
        await anvil.mine(1)
        progress(done + count, intents)
    used = int(await bare.ask("eth_getTransactionCount", "0x" + wallet.address.hex(), "latest"), 16)
    if used != intents:
        raise VagusError(f"anvil included {used} of {intents} requests")
