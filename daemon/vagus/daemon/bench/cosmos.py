"""A Cosmos chain to be measured: wasmd, with blocks every 200 ms."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import SecretStr
from typing_extensions import override

from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.accounts import Standing, read_standing
from vagus.adapters.cosmos.adapter import CosmosAdapter
from vagus.adapters.cosmos.blocks import read_header
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.deploy import deploy_hub
from vagus.adapters.cosmos.devnet import DENOM, PREFIX, Wasmd, dev_wallet
from vagus.adapters.cosmos.protos import (
    Coin,
    MsgExecuteContract,
    QuerySmartContractStateRequest,
    QuerySmartContractStateResponse,
    SimulateRequest,
)
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.tx import CosmosTx, packed, tx_hash
from vagus.daemon.bench.backlog import (
    ASKER,
    BARE,
    DEPLOYER,
    PARAMETERS,
    PER_BLOCK,
    SIMULATOR,
    Backlog,
    in_turns,
    question,
)
from vagus.daemon.bench.bare import BareClient, bare_client
from vagus.daemon.wasmd import wasmd_path
from vagus.protocol import Account, VagusError
from vagus.protocol.bech32 import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from vagus.adapters.base import Call, ChainAdapter
    from vagus.daemon.bench.backlog import Work
    from vagus.daemon.bench.bare import Request

__all__ = ["start"]

_GAS = 400_000
_FEE = 10_000
_COINS = 10**6
_SOON = 0.1
# Calls that CometBFT takes in one request.
_BATCH = 10
_AT_ONCE = 16
_QUERY = "/cosmwasm.wasm.v1.Query/SmartContractState"
_SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"


@contextlib.asynccontextmanager
async def start(say: Callable[[str], None]) -> AsyncIterator[Backlog]:
    """Start wasmd and deploy a hub on it."""
    binary = wasmd_path(say)
    say("Deploying a hub on wasmd")
    async with (
        Wasmd(binary) as wasmd,
        bare_client(wasmd.rpc) as bare,
        Rpc(SecretStr(wasmd.rpc), 60, 1 << 20) as rpc,
    ):
        deployed = await deploy_hub(wasmd.rpc, dev_wallet(DEPLOYER), PARAMETERS, denom=DENOM)
        yield _Cosmos(wasmd, bare, rpc, deployed.account)


class _Cosmos(Backlog):
    node: ClassVar[str] = "wasmd"

    def __init__(self, wasmd: Wasmd, bare: BareClient, rpc: Rpc, account: str) -> None:
        super().__init__(account)
        self._wasmd = wasmd
        self._bare = bare
        self._rpc = rpc
        self._address = Account.parse(account).address
        # The hub's pages: the first number of each, and the blocks that it is the first to name.
        self._pages: dict[int, list[int]] = {}
        self._height = 0

    @override
    async def ask(self, intents: int, progress: Callable[[int], None]) -> None:
        height = self._wasmd.height
        now = (await read_header(self._rpc, height)).block.time
        message = hub.encode_request(question(self.hub, now))
        standing = await self._standing(ASKER)
        for done in range(0, intents, PER_BLOCK):
            count = min(PER_BLOCK, intents - done)
            txs = [
                await self._signed(ASKER, message, standing, done + number, _COINS)
                for number in range(count)
            ]
            for at in range(0, count, _BATCH):
                await self._bare.post(*(_sending(tx) for tx in txs[at : at + _BATCH]))
            await self._included(standing.sequence + done)
            progress(done + count)
        await self._included(standing.sequence + intents)
        await self._list()
        if self.intents != intents:
            raise VagusError(f"wasmd included {self.intents} of {intents} requests")

    async def _included(self, sequence: int) -> None:
        """Wait until so many are in blocks: of what waits the node checks all again at each block."""
        while (await self._standing(ASKER)).sequence < sequence:
            await self._wasmd.advance()

    async def _list(self) -> None:
        """Read where requests stand, page by page."""
        self._height = self._wasmd.height
        config = hub.decode_config(await self._answer(hub.CONFIG))
        seq, known = config.first_seq, 0
        while seq < config.next_seq:
            places = hub.decode_places(await self._answer(hub.encode_requests_from(seq)), seq)
            heights = {place.height for place in places}
            self._pages[seq] = sorted(height for height in heights if height > known)
            seq, known = places[-1].seq + 1, places[-1].height
        self.intents = seq - config.first_seq

    @override
    def adapter(self, endpoints: int, account: int = 2) -> ChainAdapter:
        values: dict[str, Any] = {
            "id": self._wasmd.chain,
            "hub": self.hub,
            "rpc": [SecretStr(f"{self._wasmd.rpc}/?endpoint={n}") for n in range(endpoints)],
            "ws": SecretStr(self._wasmd.ws),
            "fee_denom": DENOM,
            "timeout": 60.0,
        }
        return CosmosAdapter(CosmosConfig(**values), dev_wallet(account))

    @override
    async def read_bare(self, endpoints: int) -> None:
        for first, heights in self._pages.items():
            query = self._query(hub.encode_requests_from(first))
            await self._bare.everywhere(endpoints, query)
            await in_turns(
                _AT_ONCE, (partial(self._fetch, height, endpoints) for height in heights)
            )

    async def _fetch(self, height: int, endpoints: int) -> None:
        wanted: dict[str, object] = {"height": str(height)}
        await self._bare.everywhere(endpoints, ("block", wanted))
        await self._bare.everywhere(endpoints, ("block_results", wanted))

    @override
    async def deliver_bare(self, calls: Sequence[Call], endpoints: int) -> list[Work]:
        standing, idle = await self._standing(BARE), await self._standing(SIMULATOR)
        raws = iter(
            [
                await self._signed(BARE, call.data, standing, number)
                for number, call in enumerate(calls)
            ]
        )
        # Sequences are taken in their order alone.
        turn = asyncio.Lock()

        async def carry(simulated: Request) -> None:
            await self._bare.everywhere(endpoints, simulated)
            async with turn:
                raw = next(raws)
                await self._bare.everywhere(endpoints, _sending(raw))
            name = b64encode(bytes.fromhex(tx_hash(raw))).decode()
            await self._bare.until(b'"tx_result":', _SOON, endpoints, ("tx", {"hash": name}))

        # By another account, whose sequence does not move on meanwhile.
        key = dev_wallet(SIMULATOR).public_key
        txs = [self._tx(SIMULATOR, call.data, idle.sequence).unsigned(key) for call in calls]
        requests = [_abci(_SIMULATE, SimulateRequest(tx_bytes=tx), 0) for tx in txs]
        return [partial(carry, request) for request in requests]

    async def _signed(
        self, account: int, message: bytes, standing: Standing, number: int, coins: int = 0
    ) -> bytes:
        tx = self._tx(account, message, standing.sequence + number, coins)
        return await tx.sign(dev_wallet(account), self._wasmd.chain_id, standing.number)

    def _tx(self, account: int, message: bytes, sequence: int, coins: int = 0) -> CosmosTx:
        execute = MsgExecuteContract(
            sender=encode(PREFIX, dev_wallet(account).address),
            contract=self._address,
            msg=message,
            funds=[Coin(denom=DENOM, amount=str(coins))] if coins else [],
        )
        return CosmosTx(packed(execute), sequence, _GAS, _FEE, DENOM, 0)

    async def _standing(self, account: int) -> Standing:
        address = encode(PREFIX, dev_wallet(account).address)
        found = await read_standing(self._rpc, address, self._wasmd.height)
        if found is None:
            raise VagusError(f"wasmd has no account {address}")
        return found

    async def _answer(self, query: bytes) -> bytes:
        request = QuerySmartContractStateRequest(address=self._address, query_data=query)
        kind = QuerySmartContractStateResponse
        found: bytes = (await self._rpc.query(_QUERY, request, kind, self._height)).data
        return found

    def _query(self, query: bytes) -> Request:
        request = QuerySmartContractStateRequest(address=self._address, query_data=query)
        return _abci(_QUERY, request, self._height)


def _abci(path: str, request: Any, height: int) -> Request:
    asked = {"path": path, "data": request.SerializeToString().hex()}
    return "abci_query", asked | {"height": str(height), "prove": False}


def _sending(raw: bytes) -> Request:
    return "broadcast_tx_sync", {"tx": b64encode(raw).decode()}
