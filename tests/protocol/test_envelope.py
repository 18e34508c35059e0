"""Envelopes and their bodies: one form each, bound to what they are about, and hostile until opened."""

import random
import struct

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.protocol import (
    Attestation,
    Outcome,
    Receipt,
    SignatureError,
    Status,
    address_of,
    outcome_value,
    sign,
)
from vagus.protocol.bodies import (
    DecisionBody,
    ProposalBody,
    RevealBody,
    SignatureBody,
    VoteBody,
)
from vagus.protocol.envelope import Envelope, EnvelopeError, Kind, network_id, open_envelope
from vagus.protocol.limits import MAX_ENVELOPE, MAX_EVIDENCE, MAX_OUTPUT

KEY = PrivateKey(b"\x07" * 32)
ENVELOPE = Envelope(
    Kind.PREVOTE,
    network=b"n" * 32,
    roster=b"r" * 32,
    sender=b"s" * 20,
    sequence=9,
    hub=b"h" * 32,
    epoch=4,
    intent=b"i" * 32,
    body=VoteBody(3, b"v" * 32).encode(),
)
OUTCOME = Outcome(Status.FULFILLED, b"yes", b"a" * 32, b"m" * 32, b'{"a":1}')

words = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**64 - 1)
envelopes = st.builds(
    Envelope,
    kind=st.sampled_from(Kind),
    network=words,
    roster=words,
    sender=st.binary(min_size=20, max_size=20),
    sequence=numbers,
    hub=words,
    epoch=numbers,
    intent=words,
    body=st.binary(max_size=300),
)
outcomes = st.builds(
    Outcome,
    status=st.just(Status.FULFILLED),
    output=st.binary(max_size=64),
    agent_digest=words,
    model_digest=words,
    evidence=st.binary(max_size=64),
)


def test_the_bytes_of_an_envelope_are_those_of_the_docs() -> None:
    frame = ENVELOPE.seal(KEY)
    header = struct.pack(
        ">BB32s32s20sQ32sQ32sI",
        *(1, 2, b"n" * 32, b"r" * 32, b"s" * 20, 9, b"h" * 32, 4, b"i" * 32, 37),
    )
    body = b"\0\0\0\3\1" + b"v" * 32
    assert frame[:-65] == header + body
    digest = keccak(b"\x19vagus envelope\x01" + header + body)
    signer = Account._recover_hash(digest, signature=frame[-65:])
    assert bytes.fromhex(signer[2:]) == address_of(KEY)


@given(envelopes)
def test_what_is_sealed_is_opened(envelope: Envelope) -> None:
    assert open_envelope(envelope.seal(KEY)) == (envelope, address_of(KEY))


def test_no_byte_of_an_envelope_can_be_changed_without_another_signer() -> None:
    frame = ENVELOPE.seal(KEY)
    for at in range(len(frame)):
        changed = bytearray(frame)
        changed[at] ^= 1
        try:
            _, signer = open_envelope(bytes(changed))
        except (EnvelopeError, SignatureError):
            continue
        assert signer != address_of(KEY), at


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "too short"),
        (ENVELOPE.seal(KEY)[:-1], "another length"),
        (ENVELOPE.seal(KEY) + b"\0", "another length"),
        (b"\2" + ENVELOPE.seal(KEY)[1:], "version 2"),
        (b"\1\x63" + ENVELOPE.seal(KEY)[2:], "kind 99"),
        (bytes(MAX_ENVELOPE + 1), "at most"),
    ],
)
def test_what_is_no_envelope_is_said_to_be_none(frame: bytes, why: str) -> None:
    with pytest.raises(EnvelopeError, match=why):
        open_envelope(frame)


def test_a_hundred_thousand_mutilated_envelopes_raise_nothing_else() -> None:
    draw = random.Random(6)
    frame = ENVELOPE.seal(KEY)
    for _ in range(100_000):
        broken = bytearray(frame)
        for _ in range(draw.randint(1, 4)):
            broken[draw.randrange(100)] = draw.randrange(256)
        del broken[draw.randrange(len(broken)) :]
        with pytest.raises((EnvelopeError, SignatureError)):
            open_envelope(bytes(broken))


def test_a_network_is_named_by_the_hash_of_its_name() -> None:
    assert network_id("mainnet") == keccak(b"vagus-committee:mainnet")


# Outcomes


def test_the_value_of_an_outcome_is_eip_712s_hash_of_it() -> None:
    fields = [
        ("status", "uint64"),
        ("outputHash", "bytes32"),
        ("agentDigest", "bytes32"),
        ("modelDigest", "bytes32"),
        ("evidenceHash", "bytes32"),
    ]
    message = {
        "types": {
            "EIP712Domain": [],
            "Outcome": [{"name": name, "type": kind} for name, kind in fields],
        },
        "primaryType": "Outcome",
        "domain": {},
        "message": {
            "status": 0,
            "outputHash": keccak(b"yes"),
            "agentDigest": b"a" * 32,
            "modelDigest": b"m" * 32,
            "evidenceHash": keccak(b'{"a":1}'),
        },
    }
    assert OUTCOME.value == encode_typed_data(full_message=message).body


def test_an_attestation_of_an_outcome_has_its_value() -> None:
    attestation = Attestation(
        intent_id=bytes(32),
        origin_hub=bytes(32),
        status=0,
        output_hash=OUTCOME.output_hash,
        agent_digest=OUTCOME.agent_digest,
        model_digest=OUTCOME.model_digest,
        evidence_hash=OUTCOME.evidence_hash,
        epoch=77,
        expiry=88,
    )
    assert outcome_value(attestation) == OUTCOME.value


@given(outcomes)
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    assert Outcome.decode(outcome.encode()) == outcome


@pytest.mark.parametrize(
    "changes",
    [
        {"output": bytes(MAX_OUTPUT + 1)},
        {"evidence": bytes(MAX_EVIDENCE + 1)},
        {"agent_digest": b"short"},
        {"status": Status.REFUSED},
    ],
)
def test_an_outcome_that_no_hub_would_take_cannot_be_made(changes: dict) -> None:
    fields = {
        "status": Status.FULFILLED,
        "output": b"x",
        "agent_digest": b"a" * 32,
        "model_digest": b"m" * 32,
        "evidence": b"{}",
    }
    with pytest.raises(ValueError, match=r"at most|must be|without an answer"):
        Outcome(**(fields | changes))


# Bodies


@given(st.integers(0, 1000), st.none() | words)
def test_votes_are_read_as_they_were_written(round_: int, value: bytes | None) -> None:
    assert VoteBody.decode(VoteBody(round_, value).encode()) == VoteBody(round_, value)


@given(st.integers(0, 1000), st.lists(st.binary(max_size=50), max_size=32), outcomes)
def test_proposals_are_read_as_they_were_written(
    round_: int, frames: list[bytes], outcome: Outcome
) -> None:
    body = ProposalBody(round_, round_ - 1, tuple(frames), tuple(reversed(frames)), outcome)
    assert ProposalBody.decode(body.encode()) == body
    assert DecisionBody.decode(DecisionBody(tuple(frames), outcome).encode()).proof == tuple(frames)
    assert RevealBody.decode(RevealBody(b"s" * 32, outcome).encode()).outcome == outcome


def test_signatures_are_read_as_they_were_written() -> None:
    for message in (
        Attestation(*([b"a" * 32] * 2), 0, *([b"b" * 32] * 4), 1, 2),
        Receipt(b"a" * 32, b"b" * 32, 0, b"c" * 32, 5, 6, 7),
    ):
        body = SignatureBody(message, sign(b"d" * 32, KEY))
        assert SignatureBody.decode(body.encode()) == body


@settings(max_examples=1000)
@given(
    st.sampled_from([VoteBody, ProposalBody, DecisionBody, RevealBody, SignatureBody, Outcome]),
    st.binary(max_size=400),
)
def test_a_body_of_a_stranger_is_read_or_is_a_value_error(kind: type, data: bytes) -> None:
    try:
        read = kind.decode(data)
    except ValueError:
        return
    assert read.encode() == data


@pytest.mark.parametrize(
    "body",
    [
        VoteBody(0, None).encode() + b"\0",
        b"\0\0\0\0\2",
        (1001).to_bytes(4, "big") + b"\0",
        ProposalBody(0, -1, (), (), OUTCOME).encode() + b"\0",
    ],
)
def test_a_second_form_of_a_body_is_refused(body: bytes) -> None:
    kind = VoteBody if len(body) < 50 else ProposalBody
    with pytest.raises(ValueError, match=r"too many|neither|is the last"):
        kind.decode(body)


def test_a_proposal_cannot_rely_on_prevotes_of_its_own_round() -> None:
    with pytest.raises(ValueError, match="later round"):
        ProposalBody.decode(ProposalBody(2, 2, (), (), OUTCOME).encode())
