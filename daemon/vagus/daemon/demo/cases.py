"""The intents of the demo: each says what it asks, and how it has to end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vagus.adapters.base import CallbackState, Question
from vagus.protocol import ZERO32, agent_id, canonical, hub_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.adapters.base import Requested
    from vagus.daemon.demo.consumers import Consumer
    from vagus.daemon.roster import Roster
    from vagus.daemon.worlds import World

__all__ = ["LIES", "MOST_LIES", "Case", "all_cases", "cases_after"]

# In the committee's unit of account: over what the dearest delivery costs, a Cosmos chain's.
FEE = 2 * 10**16
TTL = 300
REFUND_TTL = 90
CALLBACK_GAS = 1_000_000
# So many false answers in a row, and a committee's members ask who gave them no more. An answer that was
# settled before its node had compared it counts for neither, so it may take a few more.
LIES, MOST_LIES = 3, 9
# A hub that no network has: nobody holds the key of this address.
NOWHERE = "eip155:31338:0x000000000000000000000000000000000000dead"
PROMPTS = (
    "Which city is the capital of France? Answer in one sentence.",
    "Explain in one sentence what a blockchain is.",
    "Say hello in one short sentence.",
    "What is 2 + 2?",
    "Name one colour of the rainbow.",
    "Write one short sentence about a cat.",
    "Which planet is the largest? Answer in one sentence.",
    "What is the opposite of cold?",
    "Name an animal that can fly.",
)


@dataclass
class Case:
    """One intent: asked on chain `origin` for the hub `dest` (CAIP-10), to end with `expected`.

    `fee` is in the smallest unit of the origin's coin.
    """

    title: str
    origin: int
    dest: str
    consumer: Consumer
    fee: int
    expected: str = "fulfilled"
    expected_callback: CallbackState = CallbackState.SUCCEEDED
    prompt: str = PROMPTS[0]
    agent: str = "chat@1"
    model: bytes = ZERO32
    terms: bytes = b""
    # The seller that broke before this was asked, and may be asked for it.
    broken: str = ""
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
            terms=self.terms,
            min_signers=0,
            dest_hub=hub_id(self.dest),
            callback=self.consumer.word,
            callback_gas=CALLBACK_GAS,
            deadline=now + self.ttl,
            fee=self.fee,
        )


def all_cases(
    worlds: Sequence[World],
    consumers: Sequence[Consumer],
    rejecting: tuple[int, Consumer],
    roster: Roster,
    model: bytes,
) -> list[Case]:
    """Return an intent for each direction between these chains, and those that end otherwise.

    `consumers` are the chains' own, `rejecting` is one that takes nothing and where it is, `model`
    the local model's digest.
    """
    names = _names(worlds)

    def case(title: str, origin: int, dest: int, expected: str = "fulfilled", **more: Any) -> Case:
        fee = roster.to_coin(worlds[origin].caip2, FEE)
        settled = {"consumer": consumers[dest], "fee": fee, "expected": expected, **more}
        return Case(title, origin, worlds[dest].hub, **settled)

    pairs = [(a, b) for a in range(len(worlds)) for b in range(len(worlds))]
    found = [
        case(f"{names[a]} to {names[b]}", a, b, prompt=PROMPTS[at % len(PROMPTS)])
        for at, (a, b) in enumerate(pairs)
    ]
    last, rejects = len(worlds) - 1, rejecting[0]
    own = worlds[last].caip2
    found += [
        case("pins the local model", 0, last, prompt=PROMPTS[3], model=model),
        case("pins a model nobody has", 0, last, "refused", model=b"\x11" * 32),
        case("asks an unknown agent", last, 0, "refused", agent="oracle-of-delphi@9"),
        case(
            "its callback fails",
            last,
            rejects,
            consumer=rejecting[1],
            expected_callback=CallbackState.FAILED,
        ),
        # Over the hub's minimum, under what a delivery costs.
        case("fee below the cost", last, last, "refused", fee=roster.allowance(own, own) // 2),
    ]
    patient = next((at for at, world in enumerate(worlds) if world.can_warp), None)
    if patient is not None:
        lost = case("its destination is no hub", patient, patient, "refunded", ttl=REFUND_TTL)
        lost.dest = NOWHERE
        found.append(lost)
    return found


def cases_after(
    worlds: Sequence[World], consumers: Sequence[Consumer], roster: Roster, *, swapped: bool
) -> list[Case]:
    """Return intents for when sellers have broken: each may go to one of them, or to a node's own model.

    So its node asks that one first, whatever others would have cost. swapped: GPU.net's machine has
    another model, which a committee sees: the first `LIES` of `MOST_LIES` intents are to show it.
    """
    broken = [("akash", "akash", "Akash is gone")]
    if swapped:
        broken += [("gpunet", "gpu.net", f"GPU.net lies, {at}") for at in range(1, MOST_LIES + 1)]
    fee = roster.to_coin(worlds[0].caip2, FEE)
    return [
        Case(
            title,
            0,
            worlds[0].hub,
            consumers[0],
            fee,
            prompt=PROMPTS[at % len(PROMPTS)],
            terms=canonical({"networks": [network, "local"]}),
            broken=seller,
        )
        for at, (seller, network, title) in enumerate(broken)
    ]


def _names(worlds: Sequence[World]) -> list[str]:
    """Return the chains' kinds, with numbers where there are several of one."""
    labels = [world.label for world in worlds]
    return [
        label if labels.count(label) == 1 else f"{label} {labels[: at + 1].count(label)}"
        for at, label in enumerate(labels)
    ]
