"""The comparison: vagus.protocol, a chain's adapter and its hub say the same of every message.

Two ways. By the hub's views, for messages whose every field may be anything: the adapter's bytes go
in, and the hub's ids and digests are those of vagus.protocol. By the hub's calls, for messages that a
hub accepts: a question goes in and comes back as event or account, a signed delivery goes in and comes
back as record, and what the adapter reads there is what was meant.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from eth_account.messages import encode_typed_data
from web3 import Web3

from support.differential.drawing import Draw, signables
from support.differential.messages import Bounds, Delivering, Signable, members, values
from support.differential.side import Asked, Meter, Recorded, Side
from support.hub import types
from vagus.adapters.base import CallbackState, Delivery, Question
from vagus.protocol import ZERO32, Intent, keccak256

__all__ = ["compare_calls", "compare_views"]

SAMPLE = 20
"""Of so many messages and calls one is also held against eth_account and another encoder."""

T = TypeVar("T")


def compare_views(side: Side, draw: Draw, pairs: int) -> int:
    """Hold the hub's ids and digests against the protocol's; return how many messages agreed."""
    total = signables(pairs)
    meter = Meter(f"{side.name}, ids and digests from seed {draw.seed}", total)
    place = 0
    for batch in batches(draw.signables(pairs), side.batch):
        packed = [side.packed(each.message) for each in batch]
        answers = side.hashes(list(zip(packed, batch, strict=True)))
        for its_bytes, each, answer in zip(packed, batch, answers, strict=True):
            sampled = place % SAMPLE == 0
            if hashed(each) != answer or (sampled and differs(side, its_bytes, each, answer)):
                raise AssertionError(
                    f"{side.name}, seed {draw.seed}, message {place}: {each.message}, "
                    f"to be verified by {each.hub.hex()}: {blame(side, its_bytes, each, answer)}"
                )
            place += 1
        meter.add(len(batch))
    return meter.end()


def compare_calls(side: Side, draw: Draw, pairs: int) -> int:
    """Hold what comes back from requests and deliveries against what went in; return how many agreed."""
    meter = Meter(f"{side.name}, requests and deliveries from seed {draw.seed}", 2 * pairs)
    for first in range(0, pairs, side.batch):
        size = min(side.batch, pairs - first)
        bounds = side.bounds()
        questions = [(draw.address(), draw.question(bounds)) for _ in range(size)]
        for (_, question), asked in zip(questions, side.request(questions), strict=True):
            check_request(bounds, question, asked)
        deliveries = [draw.delivering(bounds) for _ in range(size)]
        for delivering, recorded in zip(deliveries, side.deliver(deliveries), strict=True):
            check_delivery(delivering, recorded)
        for given in (*(question for _, question in questions), *deliveries)[::SAMPLE]:
            same(f"the call of {given}", side.call(given), side.call_oracle(given))
        meter.add(2 * size)
    return meter.end()


def check_request(bounds: Bounds, question: Question, asked: Asked) -> None:
    """An intent is the question, as the hub numbered it."""
    expected = Intent(
        origin_hub=bounds.hub,
        seq=asked.seq,
        requester=asked.requester,
        agent_id=question.agent_id,
        payload_hash=keccak256(question.payload),
        model_digest=question.model_digest,
        terms_hash=keccak256(question.terms) if question.terms else ZERO32,
        min_signers=question.min_signers,
        dest_hub=question.dest_hub,
        callback=question.callback,
        callback_gas=question.callback_gas,
        fee_asset=ZERO32,
        max_fee=question.fee,
        deadline=question.deadline,
    )
    same("the intent of a question", asked.intent, expected)
    same("its payload", asked.payload, question.payload)
    same("its terms", asked.terms, question.terms)
    same("its id", asked.id, expected.id)


def check_delivery(given: Delivering, recorded: Recorded) -> None:
    """A record is the attestation, with who signed it. The hub took signatures of the protocol's digest."""
    expected = Delivery(
        output_hash=given.attestation.output_hash,
        status=given.attestation.status,
        evidence_hash=given.attestation.evidence_hash,
        epoch=given.attestation.epoch,
        signers=sum(1 << place for place in given.members),
        deliverer=recorded.deliverer,
        time=recorded.time,
        callback=CallbackState.FAILED if any(given.intent.callback) else CallbackState.NONE,
    )
    same(f"the record of {given.attestation}", recorded.found, expected)


def same(what: str, found: object, expected: object) -> None:
    """Two values are equal."""
    if found != expected:
        raise AssertionError(f"{what} is {found}, and not {expected}")


def hashed(each: Signable) -> bytes:
    """An intent's id, or the digest of another message, by vagus.protocol."""
    if isinstance(each.message, Intent):
        return each.message.id
    return each.message.digest(each.hub)


def by_eth_account(each: Signable) -> bytes:
    """The same by eth_account."""
    message = each.message
    names = [name for _, name in members(type(message))]
    fields = dict(zip(names, values(message), strict=True))
    domain = {"name": "vagus", "version": "1", "salt": each.hub}
    kind = type(message).__name__
    found = encode_typed_data(domain, {kind: types()[kind]}, fields)
    if isinstance(message, Intent):
        return bytes(found.body)
    return bytes(Web3.keccak(b"\x19" + found.version + found.header + found.body))


def differs(side: Side, packed: bytes, each: Signable, answer: bytes) -> bool:
    """Whether others' libraries find another hash, or other bytes."""
    return by_eth_account(each) != answer or side.oracle(each.message) != packed


def blame(side: Side, packed: bytes, each: Signable, answer: bytes) -> str:
    """Say who is alone, and at which byte."""
    expected = side.oracle(each.message)
    if packed != expected:
        pairs = enumerate(zip(packed, expected, strict=False))
        at = next((at for at, (a, b) in pairs if a != b), min(len(packed), len(expected)))
        return f"the adapter's byte {at} is another one: {packed.hex()} for {expected.hex()}"
    right = by_eth_account(each)
    alone = [
        f"{name} says {found.hex()}"
        for name, found in (("vagus.protocol", hashed(each)), ("the hub", answer))
        if found != right
    ]
    return f"eth_account says {right.hex()}, {' and '.join(alone)}"


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Items, so many at once."""
    while batch := list(islice(items, size)):
        yield batch
