"""What became of every question, as both chains say at finality and in their state."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from soak.chain import Chain, Event
from soak.questions import FULFILLED, OPEN, REFUNDED, SUCCEEDED, Question

__all__ = ["Intent", "Oracle", "faults_of"]

LOOK = 200


@dataclass
class Intent:
    """One intent by its events: how often each came, and what it said. Times are chain times."""

    id: bytes
    origin: int
    payload_hash: bytes
    escrow: int
    asked_at: int
    delivered: list[tuple[int, int, bytes]] = field(default_factory=list)  # chain, status, hash
    callbacks: list[bool] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    settled: list[tuple[int, int, int]] = field(default_factory=list)  # status, fee, returned
    refunded: list[int] = field(default_factory=list)
    ended_at: int = 0
    # By chain's number, what `Counter.look` says at the end: state, delivered, callback, hash, handed.
    looks: dict[int, tuple[int, bool, int, bytes, int]] = field(default_factory=dict)


class Oracle:
    """Reads both chains' final blocks on and on, straight from the nodes."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = chains
        self.intents: dict[bytes, Intent] = {}
        self.by_payload: dict[bytes, list[Intent]] = {}
        self.ended = 0
        """Intents settled or refunded so far."""
        self._read = [0] * len(chains)
        # Chains are read one after the other: a delivery may be read before its request.
        self._early: list[tuple[int, Event]] = []

    async def follow(self) -> None:
        """Read for ever."""
        while True:
            await self.read()
            await asyncio.sleep(0.5)

    async def read(self) -> None:
        """Read what is final by now."""
        for chain in self.chains:
            _, final = await chain.heads()
            if final <= self._read[chain.number]:
                continue
            events = await chain.events(self._read[chain.number] + 1, final)
            self._read[chain.number] = final
            early, self._early = self._early, []
            for number, event in early:
                self._take(number, event)
            for event in events:
                self._take(chain.number, event)

    async def look(self) -> None:
        """Ask both hubs' and counters' state about every intent."""
        ids = list(self.intents)
        for chain in self.chains:
            for at in range(0, len(ids), LOOK):
                some = ids[at : at + LOOK]
                found = await chain.view("counter.look", some)
                for intent_id, look in zip(some, found, strict=True):
                    self.intents[intent_id].looks[chain.number] = look

    def of(self, question: Question) -> list[Intent]:
        """The intents with a question's payload: one, if all is well."""
        return self.by_payload.get(keccak(question.payload), [])

    def _take(self, number: int, event: Event) -> None:
        args = event.args
        if event.name == "IntentRequested":
            struct = args["intent"]
            intent = Intent(args["intentId"], number, struct[4], struct[12], event.time)
            assert intent.id not in self.intents, f"the hub repeats {intent.id.hex()}"
            self.intents[intent.id] = intent
            self.by_payload.setdefault(intent.payload_hash, []).append(intent)
            return
        known = self.intents.get(args.get("intentId", b""))
        if known is None:
            if "intentId" in args:
                self._early.append((number, event))
        elif event.name == "Delivered":
            known.delivered.append((number, args["status"], keccak(args["output"])))
        elif event.name == "CallbackResult":
            known.callbacks.append(args["success"])
        elif event.name == "Counted":
            known.counted.append(args["count"])
        elif event.name == "Settled":
            known.settled.append((args["status"], args["fee"], args["returned"]))
            known.ended_at = event.time
            self.ended += 1
        elif event.name == "Refunded":
            known.refunded.append(args["amount"])
            known.ended_at = event.time
            self.ended += 1

    def strangers(self) -> int:
        """Events about intents that nobody asked."""
        return len(self._early)


def faults_of(question: Question, intents: Sequence[Intent]) -> Counter[str]:
    """What is wrong with a question's end; nothing, if all is well."""
    if not intents:
        return Counter(["lost: never asked on chain"])
    wrong = Counter[str]()
    if len(intents) > 1:
        wrong["asked twice"] += 1
    for intent in intents:
        wrong.update(_in_events(question, intent))
        wrong.update(_of_money(question, intent))
        wrong.update(_in_state(question, intent))
    return wrong


def _in_events(question: Question, intent: Intent) -> Iterator[str]:
    kind = question.kind
    delivers = kind.callback is not None
    ends = len(intent.settled) + len(intent.refunded)
    if ends == 0:
        yield "lost: neither settled nor refunded"
    if ends > 1:
        yield "settled twice"
    if len(intent.refunded) != int(kind.state == REFUNDED) and ends:
        yield "another end than it should have"
    if delivers and not intent.delivered:
        yield "lost: not delivered"
    if len(intent.delivered) > 1 or len(intent.callbacks) > 1 or len(intent.counted) > 1:
        yield "delivered twice"
    if intent.delivered and not delivers:
        yield "delivered what should not be"
    right = (question.dest, FULFILLED, keccak(question.output))
    if any(each != right for each in intent.delivered):
        yield "wrong answer"
    if delivers and intent.delivered and intent.callbacks != [kind.callback == SUCCEEDED]:
        yield "wrong callback"
    if intent.delivered and intent.counted != [1] * (kind.callback == SUCCEEDED):
        yield "not counted once"
    if any(status not in kind.statuses for status, _, _ in intent.settled):
        yield "wrong status"


def _of_money(question: Question, intent: Intent) -> Iterator[str]:
    kind = question.kind
    paid = [fee + returned for _, fee, returned in intent.settled] + intent.refunded
    if any(each != kind.fee for each in paid) or intent.escrow != kind.fee:
        yield "money that does not add up"
    if FULFILLED not in kind.statuses and any(fee for _, fee, _ in intent.settled):
        yield "paid for nothing"


def _in_state(question: Question, intent: Intent) -> Iterator[str]:
    kind = question.kind
    delivers = kind.callback is not None
    counts = int(kind.callback == SUCCEEDED)
    right = keccak(question.output)
    for number, (state, delivered, callback, output_hash, handed) in intent.looks.items():
        here, there = number == question.origin, number == question.dest
        if state != (kind.state if here else 0):
            yield "lost: still open" if state == OPEN else "state of another end"
        if delivered != (delivers and there) or callback != ((kind.callback or 0) if there else 0):
            yield "delivery's state is another"
        if delivered and output_hash != right:
            yield "wrong answer in the state"
        if handed != (counts if there else 0):
            yield "handed over not once" if handed else "lost: not handed over"
