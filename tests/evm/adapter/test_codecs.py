"""The hand-packed bytes against eth-abi, over random values and over hub.json."""

import dataclasses
from typing import Any

import pytest
from eth_abi import decode, encode
from eth_utils.abi import (
    abi_to_signature,
    event_abi_to_log_topic,
    function_signature_to_4byte_selector,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.adapters.base import CallbackState, ChainEvent, IntentState, Question
from vagus.adapters.evm import codec, hub
from vagus.adapters.evm.artifacts import artifact
from vagus.protocol import (
    MAX_OUTPUT,
    ZERO32,
    Attestation,
    Intent,
    Payout,
    Receipt,
    Rotation,
    keccak256,
)

ABI: list[dict[str, Any]] = artifact("hub")["abi"]
WORDS = st.binary(min_size=32, max_size=32)
U64 = st.integers(0, 2**64 - 1)
U256 = st.integers(0, 2**256 - 1)
ADDRESSES = st.binary(min_size=20, max_size=20)
SIGNATURES = st.lists(st.binary(min_size=65, max_size=65), max_size=32)
INTENTS = st.builds(
    Intent, WORDS, U64, WORDS, WORDS, WORDS, WORDS, WORDS, U64, WORDS, WORDS, U64, WORDS, U256, U64
)
ATTESTATIONS = st.builds(Attestation, WORDS, WORDS, U64, WORDS, WORDS, WORDS, WORDS, U64, U64)
RECEIPTS = st.builds(Receipt, WORDS, WORDS, U64, WORDS, U256, U64, U64)
ROTATIONS = st.builds(Rotation, U64, WORDS, U64, U64, WORDS)
QUESTIONS = st.builds(
    Question,
    WORDS,
    st.binary(max_size=300),
    WORDS,
    st.binary(max_size=100),
    U64,
    WORDS,
    WORDS,
    U64,
    U64,
    U256,
)
OUTPUTS = st.binary(max_size=200)

# Each test's own, since a profile would be every module's.
few = settings(max_examples=200, deadline=None)
many = settings(max_examples=2_000, deadline=None)


def entry(name: str) -> dict[str, Any]:
    return next(item for item in ABI if item.get("name") == name)


def kind(member: dict[str, Any]) -> str:
    """The canonical type of an ABI member, tuples spelled out."""
    if not member["type"].startswith("tuple"):
        return member["type"]
    inner = ",".join(kind(part) for part in member["components"])
    return f"({inner}){member['type'][5:]}"


def oracle(name: str, *arguments: object) -> bytes:
    """A call of hub.json as eth-abi encodes it."""
    found = entry(name)
    selector = function_signature_to_4byte_selector(abi_to_signature(found))
    return selector + encode([kind(member) for member in found["inputs"]], arguments)


def answer(name: str, *values: object) -> bytes:
    """What a view of hub.json answers, as eth-abi encodes it."""
    return encode([kind(member) for member in entry(name)["outputs"]], values)


def fields(message: Any) -> tuple[Any, ...]:
    return tuple(getattr(message, field.name) for field in dataclasses.fields(message))


@few
@given(QUESTIONS)
def test_request_is_encoded_as_by_eth_abi(question: Question) -> None:
    values = fields(question)[:-1]
    assert hub.encode_request(question) == oracle("request", *values)


@few
@given(INTENTS, ATTESTATIONS, OUTPUTS, SIGNATURES)
def test_deliver_is_encoded_as_by_eth_abi(
    intent: Intent, attestation: Attestation, output: bytes, signatures: list[bytes]
) -> None:
    expected = oracle("deliver", fields(intent), fields(attestation), output, signatures)
    assert hub.encode_deliver(intent, attestation, output, signatures) == expected


@few
@given(INTENTS, ATTESTATIONS, OUTPUTS, SIGNATURES)
def test_deliver_is_read_as_eth_abi_wrote_it(
    intent: Intent, attestation: Attestation, output: bytes, signatures: list[bytes]
) -> None:
    call = oracle("deliver", fields(intent), fields(attestation), output, signatures)
    assert hub.decode_deliver(call) == (intent, attestation, output, tuple(signatures))
    for wrong in (call[:-1], call + b"\0", b"\0" + call[1:], call[:4]):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
            hub.decode_deliver(wrong)


@few
@given(INTENTS, OUTPUTS)
def test_retry_is_encoded_as_by_eth_abi(intent: Intent, output: bytes) -> None:
    assert hub.encode_retry(intent, output) == oracle("retry", fields(intent), output)


@few
@given(RECEIPTS, st.lists(st.builds(Payout, WORDS, U256), max_size=34), SIGNATURES)
def test_settle_is_encoded_as_by_eth_abi(
    receipt: Receipt, payouts: list[Payout], signatures: list[bytes]
) -> None:
    pairs = [fields(payout) for payout in payouts]
    expected = oracle("settle", fields(receipt), pairs, signatures)
    assert hub.encode_settle(receipt, payouts, signatures) == expected


@few
@given(ROTATIONS, st.lists(ADDRESSES, max_size=32), SIGNATURES)
def test_rotate_is_encoded_as_by_eth_abi(
    rotation: Rotation, signers: list[bytes], signatures: list[bytes]
) -> None:
    expected = oracle("rotate", fields(rotation), signers, signatures)
    assert hub.encode_rotate(rotation, signers, signatures) == expected


@few
@given(WORDS, ADDRESSES)
def test_the_small_calls_are_encoded_as_by_eth_abi(word: bytes, address: bytes) -> None:
    assert hub.encode_refund(word) == oracle("refund", word)
    assert hub.encode_withdraw() == oracle("withdraw")
    assert hub.encode_state_of(word) == oracle("intentState", word)
    assert hub.encode_delivery_of(word) == oracle("delivery", word)
    assert hub.encode_credit_of(address.rjust(32, b"\0")) == oracle("credit", address)
    assert oracle("config") == hub.CONFIG_CALL
    assert oracle("committee") == hub.COMMITTEE_CALL


def test_what_no_hub_takes_is_not_encoded() -> None:
    intent = _plain_intent()
    with pytest.raises(ValueError, match="output: 8193"):
        hub.encode_retry(intent, bytes(MAX_OUTPUT + 1))
    with pytest.raises(ValueError, match="a signature is 65 bytes, not 64"):
        codec.signatures_tail([bytes(64)])
    with pytest.raises(ValueError, match="no address"):
        hub.encode_credit_of(b"\x01" * 32)


# The event


def logged(intent: Intent, payload: bytes, terms: bytes, data: bytes | None = None) -> ChainEvent:
    event = entry("IntentRequested")
    plain = [kind(member) for member in event["inputs"] if not member["indexed"]]
    return ChainEvent(
        address="0x" + "11" * 20,
        topics=(event_abi_to_log_topic(event), intent.id, intent.seq.to_bytes(32, "big")),
        data=encode(plain, [fields(intent), payload, terms]) if data is None else data,
        height=7,
        block_hash=ZERO32,
        tx_id="0x" + "22" * 32,
        index=0,
    )


def asked(intent: Intent, payload: bytes, terms: bytes) -> Intent:
    """The intent that a hub would make of these."""
    terms_hash = keccak256(terms) if terms else ZERO32
    return dataclasses.replace(intent, payload_hash=keccak256(payload), terms_hash=terms_hash)


@few
@given(INTENTS, OUTPUTS, st.binary(max_size=70))
def test_a_requested_event_is_read_back(intent: Intent, payload: bytes, terms: bytes) -> None:
    intent = asked(intent, payload, terms)
    found = hub.decode_requested(logged(intent, payload, terms), intent.origin_hub)
    assert (found.intent, found.payload, found.terms) == (intent, payload, terms)


@many
@given(INTENTS, st.binary(max_size=70), st.binary(max_size=40), st.data())
def test_a_changed_event_is_a_value_error(
    intent: Intent, payload: bytes, terms: bytes, data: st.DataObject
) -> None:
    intent = asked(intent, payload, terms)
    good = logged(intent, payload, terms)
    position = data.draw(st.integers(0, len(good.data) - 1))
    flipped = bytearray(good.data)
    flipped[position] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([bytes(flipped), good.data[:position], good.data + bytes(32)]))
    with pytest.raises(ValueError):  # noqa: PT011 - any: which check finds it depends on the byte
        hub.decode_requested(logged(intent, payload, terms, cut), intent.origin_hub)


@few
@given(st.binary(max_size=1_000))
def test_noise_is_a_value_error(noise: bytes) -> None:
    event = ChainEvent("0x", (hub.REQUESTED_TOPIC, ZERO32, ZERO32), noise, 0, ZERO32, "", 0)
    for decoder in (hub.decode_config, hub.decode_committee, hub.decode_delivery):
        with pytest.raises(ValueError):  # noqa: PT011 - any
            decoder(noise or b"\x01")
    with pytest.raises(ValueError):  # noqa: PT011 - any
        hub.decode_requested(event, ZERO32)


def test_an_event_of_another_hub_is_a_value_error() -> None:
    intent = asked(_plain_intent(), b"x", b"")
    with pytest.raises(ValueError, match="another hub"):
        hub.decode_requested(logged(intent, b"x", b""), b"\x09" * 32)


def _plain_intent() -> Intent:
    return Intent(b"\x01" * 32, 5, *[ZERO32] * 5, 0, ZERO32, ZERO32, 0, ZERO32, 0, 9)


# Views


@few
@given(
    WORDS, U256, U256, st.lists(U64, min_size=8, max_size=8), ADDRESSES, ADDRESSES, st.booleans()
)
def test_config_is_read_as_the_abi_has_it(
    word: bytes, chain: int, fee: int, small: list[int], one: bytes, two: bytes, paused: bool
) -> None:
    values = (word, chain, fee, *small, "0x" + one.hex(), "0x" + two.hex(), paused)
    found = hub.decode_config(answer("config", values))
    assert fields(found) == (word, chain, fee, *small, one, two, paused)
    names = [member["name"].lower() for member in entry("config")["outputs"][0]["components"]]
    assert [
        name.replace("_", "") for name in [field.name for field in dataclasses.fields(found)]
    ] == names


@few
@given(
    U64,
    st.lists(ADDRESSES, min_size=1, max_size=32, unique=True),
    st.lists(ADDRESSES, max_size=32, unique=True),
    WORDS,
    U64,
)
def test_committee_is_read_as_the_abi_has_it(
    epoch: int, current: list[bytes], previous: list[bytes], roster: bytes, until: int
) -> None:
    current, previous = (
        sorted(set(current) - {bytes(20)}) or [b"\x01" * 20],
        sorted(set(previous) - {bytes(20)}),
    )
    majority = len(current) // 2 + 1
    before = len(previous) // 2 + 1 if previous else 0
    values = (
        *(epoch, majority, ["0x" + item.hex() for item in current], roster),
        *(epoch // 2, before, ["0x" + item.hex() for item in previous], until),
    )
    found = hub.decode_committee(answer("committee", values))
    assert fields(found.current) == (epoch, tuple(current), majority)
    assert (found.roster_hash, found.previous_until) == (roster, until)
    if previous:
        assert found.previous is not None
        assert fields(found.previous) == (epoch // 2, tuple(previous), before)
    else:
        assert found.previous is None


@few
@given(WORDS, WORDS, st.integers(1, 2**64 - 1), U64, st.integers(0, 2**32 - 1), ADDRESSES)
def test_delivery_is_read_as_the_abi_has_it(
    output: bytes, evidence: bytes, time: int, epoch: int, signers: int, deliverer: bytes
) -> None:
    values = (time, 2, output, evidence, epoch, signers, "0x" + deliverer.hex(), 1)
    found = hub.decode_delivery(answer("delivery", values))
    assert found is not None
    assert fields(found) == (
        *(output, 2, evidence, epoch, signers, deliverer.rjust(32, b"\0"), time),
        CallbackState.SUCCEEDED,
    )


def test_the_small_views_are_read_as_the_abi_has_them() -> None:
    nothing = "0x" + "00" * 20
    assert hub.decode_delivery(answer("delivery", (0, 0, ZERO32, ZERO32, 0, 0, nothing, 0))) is None
    state = answer("intentState", (3, nothing, 1, ZERO32, 4))
    assert hub.decode_intent_state(state) is IntentState.REFUNDED
    assert hub.decode_credit(answer("credit", 77)) == 77


# JSON-RPC's hex


@pytest.mark.parametrize(
    "text", ["", "0x", "1", "0x ", "0x1_0", "0x-1", "0xg", "0x" + "1" * 65, "0x٣", "0X1", "0x1 "]
)
def test_what_is_no_quantity_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.quantity(text)


@pytest.mark.parametrize("text", ["", "00", "0x0", "0x0g", "0x00 00", " 0x00", "0x٣٣"])
def test_what_is_no_data_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.data_bytes(text)


@few
@given(U256)
def test_a_quantity_is_read_back(number: int) -> None:
    assert codec.quantity(hex(number)) == number
    assert decode(["uint256"], codec.word(number)) == (number,)
