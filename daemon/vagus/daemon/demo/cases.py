"""The intents of the demo: each says what it asks, and how it has to end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vagus.adapters.base import CallbackState, Question
from vagus.protocol import ZERO32, agent_id, hub_id

if TYPE_CHECKING:
    from vagus.adapters.base import Requested
    from vagus.daemon.demo.consumers import Consumers

__all__ = ["Case", "all_cases"]

FEE = 10**15
# Over the hub's minimum, under what a delivery costs.
LOW_FEE = 10**13
TTL = 300
REFUND_TTL = 90
CALLBACK_GAS = 1_000_000
# A hub that no network has: nobody holds the key of this address.
NOWHERE = "eip155:31338:0x000000000000000000000000000000000000dead"


@dataclass
class Case:
    """One intent: asked on chain `origin` for the hub `dest` (CAIP-10), to end with `expected`."""

    title: str
    origin: int
    dest: str
    callback: bytes
    expected: str = "fulfilled"
    expected_callback: CallbackState = CallbackState.SUCCEEDED
    prompt: str = "Which city is the capital of France? Answer in one sentence."
    agent: str = "chat@1"
    model: bytes = ZERO32
    fee: int = FEE
    ttl: int = TTL
    # What became of it: the intent, what the node shows of it, and how long that took.
    asked: Requested | None = None
    asked_at: float = 0.0
    seen: dict[str, Any] | None = None
    ended: bool = False
    seconds: float = 0.0

    def question(self, now: int) -> Question:
        """Return what is handed to the origin's `request` at chain time `now`."""
        return Question(
            agent_id=agent_id(self.agent),
            payload=json.dumps({"prompt": self.prompt}).encode(),
            model_digest=self.model,
            terms=b"",
            min_signers=0,
            dest_hub=hub_id(self.dest),
            callback=self.callback,
            callback_gas=CALLBACK_GAS,
            deadline=now + self.ttl,
            fee=self.fee,
        )


def all_cases(hubs: tuple[str, str], consumers: Consumers, model: bytes) -> list[Case]:
    """Return the demo's intents for two hubs A and B; `model` is the local model's digest."""
    a, b = hubs
    answer_a, answer_b = consumers.answer
    return [
        Case("A to B", 0, b, answer_b),
        Case("B to A", 1, a, answer_a, prompt="Explain in one sentence what a blockchain is."),
        Case("A to A", 0, a, answer_a, prompt="Say hello in one short sentence."),
        Case("pins the local model", 0, b, answer_b, prompt="What is 2 + 2?", model=model),
        Case("pins a model nobody has", 0, b, answer_b, "refused", model=b"\x11" * 32),
        Case("asks an unknown agent", 1, a, answer_a, "refused", agent="oracle-of-delphi@9"),
        Case(
            "its callback reverts",
            1,
            b,
            consumers.reverter,
            expected_callback=CallbackState.FAILED,
            prompt="Write one short sentence about a cat.",
        ),
        Case("fee below the node's cost", 1, a, answer_a, "refused", fee=LOW_FEE),
        Case("its destination is no hub", 0, NOWHERE, answer_b, "refunded", ttl=REFUND_TTL),
    ]
