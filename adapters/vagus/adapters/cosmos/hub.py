"""The hub on Cosmos chains: its calls, its event and its answers as JSON. No I/O.

Layouts are those of docs/hub-cosmos.md. Encoders raise ValueError for what no hub would take,
decoders for what no hub would write.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

from vagus.adapters.base import CallbackState, Delivery, IntentState, Question
from vagus.protocol import (
    MAX_OUTPUT,
    MAX_PAYLOAD,
    MAX_PAYOUTS,
    MAX_SIGNERS,
    MAX_TERMS,
    ZERO32,
    Attestation,
    Intent,
    Payout,
    Receipt,
    Rotation,
    SignerSet,
    Status,
    keccak256,
)

__all__ = [
    "COMMITTEE",
    "CONFIG",
    "DELIVERED",
    "PAGE",
    "REQUESTED",
    "Committee",
    "HubConfig",
    "Place",
    "callback_gas",
    "decode_committee",
    "decode_config",
    "decode_credit",
    "decode_delivery",
    "decode_intent_state",
    "decode_places",
    "decode_requested",
    "encode_credit_of",
    "encode_deliver",
    "encode_delivery_of",
    "encode_refund",
    "encode_request",
    "encode_requests_from",
    "encode_retry",
    "encode_rotate",
    "encode_settle",
    "encode_state_of",
    "encode_withdraw",
]

REQUESTED = "wasm-intent_requested"
DELIVERED = "wasm-delivered"
"""The events' types."""

PAGE = 100
"""How many requests one answer has at most."""

_WORD = re.compile(r"[0-9a-f]{64}")
_SIGNER = re.compile(r"[0-9a-f]{40}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
_STATES = {
    "open": IntentState.OPEN,
    "settled": IntentState.SETTLED,
    "refunded": IntentState.REFUNDED,
}
_CALLBACKS = {
    "none": CallbackState.NONE,
    "succeeded": CallbackState.SUCCEEDED,
    "failed": CallbackState.FAILED,
}
# Each field's name, and whether it is a word rather than a number.
_INTENT_FIELDS = tuple((field.name, field.type in {"bytes", bytes}) for field in fields(Intent))
_EVENT_FIELDS = frozenset(("intent_id", *(name for name, _ in _INTENT_FIELDS), "payload", "terms"))
# What the chain itself writes into a contract's events.
_CHAINS_OWN = frozenset({"_contract_address", "msg_index"})

T = TypeVar("T")
Message = Intent | Attestation | Receipt | Rotation


# Calls


def encode_request(question: Question) -> bytes:
    """Encode `request`; the fee travels as the call's coin."""
    _bound("payload", question.payload, MAX_PAYLOAD)
    _bound("terms", question.terms, MAX_TERMS)
    return _call(
        "request",
        agent_id=question.agent_id.hex(),
        payload=question.payload.hex(),
        model_digest=question.model_digest.hex(),
        terms=question.terms.hex(),
        min_signers=str(question.min_signers),
        dest_hub=question.dest_hub.hex(),
        callback=question.callback.hex(),
        callback_gas=str(question.callback_gas),
        deadline=str(question.deadline),
    )


def encode_deliver(
    intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
) -> bytes:
    """Encode `deliver`; signatures are ascending by their signers."""
    _bound("output", output, MAX_OUTPUT)
    return _call(
        "deliver",
        intent=_message(intent),
        attestation=_message(attestation),
        output=output.hex(),
        signatures=_hexes("signatures", signatures),
    )


def encode_retry(intent: Intent, output: bytes) -> bytes:
    """Encode `retry`."""
    _bound("output", output, MAX_OUTPUT)
    return _call("retry", intent=_message(intent), output=output.hex())


def encode_settle(
    receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
) -> bytes:
    """Encode `settle`; signatures are ascending by their signers."""
    _bound("payouts", payouts, MAX_PAYOUTS)
    return _call(
        "settle",
        receipt=_message(receipt),
        payouts=[{"payee": each.payee.hex(), "amount": str(each.amount)} for each in payouts],
        signatures=_hexes("signatures", signatures),
    )


def encode_refund(intent_id: bytes) -> bytes:
    """Encode `refund`."""
    return _call("refund", intent_id=intent_id.hex())


def encode_withdraw() -> bytes:
    """Encode `withdraw`."""
    return _call("withdraw")


def encode_rotate(
    rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
) -> bytes:
    """Encode `rotate`; signers are 20-byte addresses, ascending."""
    return _call(
        "rotate",
        rotation=_message(rotation),
        signers=_hexes("signers", signers),
        signatures=_hexes("signatures", signatures),
    )


def callback_gas(call: bytes) -> int:
    """Return the gas that an encoded call's callback may use; 0 where there is none."""
    called = _calls.decode(call)
    asked = called.deliver or called.retry
    if asked is None or asked.intent.callback == ZERO32.hex():
        return 0
    return int(asked.intent.callback_gas)


# Queries

CONFIG = b'{"config":{}}'
COMMITTEE = b'{"committee":{}}'


def encode_state_of(intent_id: bytes) -> bytes:
    """Encode the query `intent_state`."""
    return _call("intent_state", intent_id=intent_id.hex())


def encode_delivery_of(intent_id: bytes) -> bytes:
    """Encode the query `delivery`."""
    return _call("delivery", intent_id=intent_id.hex())


def encode_credit_of(account: bytes) -> bytes:
    """Encode the query `credit` of a packed address."""
    return _call("credit", account=account.hex())


def encode_requests_from(seq: int) -> bytes:
    """Encode the query `requests`: a page from a seq on."""
    return _call("requests", **{"from": str(seq), "limit": str(PAGE)})


def _call(name: str, **arguments: object) -> bytes:
    return msgspec.json.encode({name: arguments})


def _message(message: Message) -> dict[str, str]:
    values = ((field.name, getattr(message, field.name)) for field in fields(message))
    return {
        name: value.hex() if isinstance(value, bytes) else str(int(value)) for name, value in values
    }


def _hexes(name: str, items: Sequence[bytes]) -> list[str]:
    _bound(name, items, MAX_SIGNERS)
    return [item.hex() for item in items]


def _bound(name: str, items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        raise ValueError(f"{name}: {len(items)}, and the hub takes {limit} at most")


# The event


def decode_requested(
    attributes: Iterable[tuple[str, str]], hub_id: bytes
) -> tuple[Intent, bytes, bytes]:
    """Decode and check an event's intent, payload and terms: hashes and id must agree."""
    values: dict[str, str] = {}
    for name, value in attributes:
        if name in _CHAINS_OWN:
            continue
        if name in values:
            raise ValueError(f"{name[:32]!r} twice")
        values[name] = value
    if values.keys() != _EVENT_FIELDS:
        raise ValueError("attributes that are not the event's")
    intent = _intent(values)
    payload, terms = _bytes(values["payload"]), _bytes(values["terms"])
    if intent.origin_hub != hub_id:
        raise ValueError("an intent of another hub")
    if intent.id != _word(values["intent_id"]):
        raise ValueError("an id that is not the intent's")
    if keccak256(payload) != intent.payload_hash:
        raise ValueError("a payload that is not the intent's")
    if (keccak256(terms) if terms else ZERO32) != intent.terms_hash:
        raise ValueError("terms that are not the intent's")
    _bound("payload", payload, MAX_PAYLOAD)
    _bound("terms", terms, MAX_TERMS)
    return intent, payload, terms


def _intent(values: Mapping[str, str]) -> Intent:
    found: list[Any] = [
        _word(values[name]) if is_word else _number(values[name])
        for name, is_word in _INTENT_FIELDS
    ]
    return Intent(*found)


# Answers


class _Asked(msgspec.Struct):
    callback: str
    callback_gas: str


class _Delivering(msgspec.Struct):
    intent: _Asked


class _Called(msgspec.Struct):
    deliver: _Delivering | None = None
    retry: _Delivering | None = None


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    hub_id: str
    chain_id: str
    fee_denom: str
    min_fee: str
    min_ttl: str
    max_ttl: str
    grace: str
    retry_window: str
    max_callback_gas: str
    first_seq: str
    next_seq: str
    guardian: str
    pending_guardian: str
    paused: bool


class _Previous(msgspec.Struct, forbid_unknown_fields=True):
    epoch: str
    threshold: str
    signers: list[str]
    until: str


class _Committee(msgspec.Struct, forbid_unknown_fields=True):
    epoch: str
    threshold: str
    signers: list[str]
    roster_hash: str
    previous: _Previous | None


class _IntentState(msgspec.Struct, forbid_unknown_fields=True):
    state: str
    requester: str
    deadline: str
    dest_hub: str
    escrow: str


class _Delivery(msgspec.Struct, forbid_unknown_fields=True):
    delivered_at: str
    status: str
    output_hash: str
    evidence_hash: str
    epoch: str
    signers: str
    deliverer: str
    callback: str


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    seq: str
    intent_id: str
    height: str


_calls = msgspec.json.Decoder(_Called)
_configs = msgspec.json.Decoder(_Config)
_committees = msgspec.json.Decoder(_Committee)
_states: msgspec.json.Decoder[_IntentState | None] = msgspec.json.Decoder(_IntentState | None)
_deliveries: msgspec.json.Decoder[_Delivery | None] = msgspec.json.Decoder(_Delivery | None)
_requests = msgspec.json.Decoder(list[_Request])
_texts = msgspec.json.Decoder(str)


class HubConfig(msgspec.Struct, frozen=True):
    """The query `config`: times in seconds, `min_fee` in `fee_denom`, guardians as words."""

    hub_id: bytes
    chain_id: str
    fee_denom: str
    min_fee: int
    min_ttl: int
    max_ttl: int
    grace: int
    retry_window: int
    max_callback_gas: int
    first_seq: int
    next_seq: int
    guardian: bytes
    pending_guardian: bytes
    paused: bool


class Committee(msgspec.Struct, frozen=True):
    """The query `committee`: `previous` counts until `previous_until`; None before a rotation."""

    current: SignerSet
    roster_hash: bytes
    previous: SignerSet | None
    previous_until: int


class Place(msgspec.Struct, frozen=True):
    """Where a request stands: its number, its intent's id, its block's height."""

    seq: int
    intent_id: bytes
    height: int


def decode_config(data: bytes) -> HubConfig:
    """Decode what `config` answers."""
    found = _decoded(_configs, data)
    return HubConfig(
        hub_id=_word(found.hub_id),
        chain_id=found.chain_id,
        fee_denom=found.fee_denom,
        min_fee=_number(found.min_fee),
        min_ttl=_number(found.min_ttl, 64),
        max_ttl=_number(found.max_ttl, 64),
        grace=_number(found.grace, 64),
        retry_window=_number(found.retry_window, 64),
        max_callback_gas=_number(found.max_callback_gas, 64),
        first_seq=_number(found.first_seq, 64),
        next_seq=_number(found.next_seq, 64),
        guardian=_word(found.guardian),
        pending_guardian=_word(found.pending_guardian),
        paused=found.paused,
    )


def decode_committee(data: bytes) -> Committee:
    """Decode what `committee` answers."""
    found = _decoded(_committees, data)
    before = found.previous
    return Committee(
        current=_set(found.epoch, found.signers, found.threshold),
        roster_hash=_word(found.roster_hash),
        previous=_set(before.epoch, before.signers, before.threshold) if before else None,
        previous_until=_number(before.until, 64) if before else 0,
    )


def decode_intent_state(data: bytes) -> IntentState:
    """Decode what `intent_state` answers, of which the state alone is needed."""
    found = _decoded(_states, data)
    return IntentState.NONE if found is None else _one_of(_STATES, found.state)


def decode_delivery(data: bytes) -> Delivery | None:
    """Decode what `delivery` answers; None where nothing was delivered."""
    found = _decoded(_deliveries, data)
    if found is None:
        return None
    return Delivery(
        output_hash=_word(found.output_hash),
        status=Status(_number(found.status, 8)),
        evidence_hash=_word(found.evidence_hash),
        epoch=_number(found.epoch, 64),
        signers=_number(found.signers, MAX_SIGNERS),
        deliverer=_word(found.deliverer),
        time=_number(found.delivered_at, 60),
        callback=_one_of(_CALLBACKS, found.callback),
    )


def decode_credit(data: bytes) -> int:
    """Decode what `credit` answers, in the fee's smallest unit."""
    return _number(_decoded(_texts, data), 128)


def decode_places(data: bytes, first: int) -> list[Place]:
    """Decode what `requests` from `first` on answers: without a gap, and heights never go back."""
    places = [
        Place(_number(each.seq, 64), _word(each.intent_id), _number(each.height, 60))
        for each in _decoded(_requests, data)
    ]
    if [place.seq for place in places] != [*range(first, first + len(places))]:
        raise ValueError(f"requests that do not count on from {first}")
    heights = [place.height for place in places]
    if heights != sorted(heights) or len(places) > PAGE:
        raise ValueError("requests in no order")
    return places


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)[:200]) from None


def _set(epoch: str, signers: list[str], threshold: str) -> SignerSet:
    _bound("signers", signers, MAX_SIGNERS)
    if not all(_SIGNER.fullmatch(signer) for signer in signers):
        raise ValueError("a signer is 40 hex digits")
    members = tuple(bytes.fromhex(signer) for signer in signers)
    return SignerSet(_number(epoch, 64), members, _number(threshold, 64))


def _one_of(names: Mapping[str, T], name: str) -> T:
    if name not in names:
        raise ValueError(f"{name[:32]!r} is none of {', '.join(names)}")
    return names[name]


def _word(text: str) -> bytes:
    if _WORD.fullmatch(text) is None:
        raise ValueError("a word is 64 hex digits in lower case")
    return bytes.fromhex(text)


def _bytes(text: str) -> bytes:
    if _HEX.fullmatch(text) is None:
        raise ValueError("bytes are hex digits in lower case")
    return bytes.fromhex(text)


def _number(text: str, bits: int = 256) -> int:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("a number is decimal digits")
    value = int(text)
    if value >> bits:
        raise ValueError(f"a number over {bits} bits")
    return value
