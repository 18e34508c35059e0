"""A chain whose answers a test writes; what it is not told it does as the benchmark's stand-in."""

from collections import defaultdict
from dataclasses import replace
from typing import TypeVar

from vagus.adapters.base import (
    Block,
    Call,
    CallbackState,
    Delivery,
    Estimate,
    HubState,
    IntentState,
    Step,
    TxStage,
)
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.bench.stub_chain import StubChain

T = TypeVar("T")

NOW = 1_800_000_000


class ScriptedChain(StubChain):
    """`faults[method]` are raised, one a call, before the method answers."""

    def __init__(self, hub: str, wallet: Wallet, signer: bytes) -> None:
        self.time = NOW
        self.faults: dict[str, list[Exception]] = defaultdict(list)
        self.ends: dict[bytes, IntentState] = {}
        self.delivered_by_others: dict[bytes, Delivery] = {}
        self.callback = CallbackState.SUCCEEDED
        self.steps: list[TxStage] = []
        self.changes: dict[str, object] = {}
        super().__init__(hub, wallet, [signer])

    @property
    def transactions(self) -> int:
        """How many were included: the next nonce."""
        return self._nonce

    def now(self) -> int:
        return self.time

    def pass_time(self, seconds: int) -> None:
        """Mine a block so many seconds later."""
        self.time += seconds
        self._mine()

    def _mine_soon(self) -> None:
        self._read = True  # nobody watches this chain
        super()._mine_soon()

    def _fail(self, method: str) -> None:
        if self.faults[method]:
            raise self.faults[method].pop(0)

    async def hub_state(self) -> HubState:
        self._fail("hub_state")
        return replace(await super().hub_state(), **self.changes)  # type: ignore[arg-type]

    async def block(self, height: int) -> Block:
        self._fail("block")
        return await super().block(height)

    async def intent_state(self, intent_id: bytes) -> IntentState:
        self._fail("intent_state")
        return self.ends.get(intent_id, await super().intent_state(intent_id))

    async def delivery(self, intent_id: bytes) -> Delivery | None:
        self._fail("delivery")
        if intent_id in self.delivered_by_others:
            return self.delivered_by_others[intent_id]
        found = await super().delivery(intent_id)
        return replace(found, callback=self.callback) if found else None

    async def estimate(self, call: Call) -> Estimate:
        self._fail("estimate")
        return await super().estimate(call)

    async def open_lane(self, lane: bytes | None) -> bytes:
        self._fail("open_lane")
        return await super().open_lane(lane)

    async def broadcast(self, raw: bytes) -> None:
        self._fail("broadcast")
        await super().broadcast(raw)

    async def advance(self, state: bytes) -> Step:
        self._fail("advance")
        step = await super().advance(state)
        return replace(step, stage=self.steps.pop(0), send=()) if self.steps else step
