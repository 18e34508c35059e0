"""The hub on EVM chains: its calls, its event and its views as bytes. No I/O.

Layouts are those of abi/hub.json; tests compare each with eth-abi. Encoders raise ValueError for
what no hub would take, decoders for what no hub would write.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.adapters.base import (
    CallbackState,
    ChainEvent,
    Delivery,
    IntentState,
    Question,
    Requested,
)
from vagus.adapters.evm import codec
from vagus.adapters.evm.codec import WORD, word
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
    encode_payouts,
    keccak256,
)

__all__ = [
    "COMMITTEE_CALL",
    "CONFIG_CALL",
    "DELIVERED_TOPIC",
    "REQUESTED_TOPIC",
    "Committee",
    "HubConfig",
    "decode_committee",
    "decode_config",
    "decode_credit",
    "decode_deliver",
    "decode_delivery",
    "decode_intent_state",
    "decode_requested",
    "encode_credit_of",
    "encode_deliver",
    "encode_delivery_of",
    "encode_refund",
    "encode_request",
    "encode_retry",
    "encode_rotate",
    "encode_settle",
    "encode_state_of",
    "encode_withdraw",
    "is_deliver",
]


def _tuple(message: type[Intent | Attestation | Receipt | Rotation]) -> str:
    """The ABI's tuple type of a message, from its EIP-712 type."""
    members = message.TYPE[message.TYPE.index("(") + 1 : -1].split(",")
    return f"({','.join(member.split()[0] for member in members)})"


_INTENT = _tuple(Intent)
_INTENT_SIZE = 14 * WORD
_SIGNATURES = "bytes[]"
_REQUEST = codec.selector(
    "request(bytes32,bytes,bytes32,bytes,uint64,bytes32,bytes32,uint64,uint64)"
)
_DELIVER = codec.selector(f"deliver({_INTENT},{_tuple(Attestation)},bytes,{_SIGNATURES})")
_RETRY = codec.selector(f"retry({_INTENT},bytes)")
_SETTLE = codec.selector(f"settle({_tuple(Receipt)},(bytes32,uint256)[],{_SIGNATURES})")
_REFUND = codec.selector("refund(bytes32)")
_WITHDRAW = codec.selector("withdraw()")
_ROTATE = codec.selector(f"rotate({_tuple(Rotation)},address[],{_SIGNATURES})")
_STATE_OF = codec.selector("intentState(bytes32)")
_DELIVERY_OF = codec.selector("delivery(bytes32)")
_CREDIT_OF = codec.selector("credit(address)")
CONFIG_CALL = codec.selector("config()")
COMMITTEE_CALL = codec.selector("committee()")
REQUESTED_TOPIC = keccak256(f"IntentRequested(bytes32,uint64,{_INTENT},bytes,bytes)".encode())

DELIVERED_TOPIC = keccak256(
    b"Delivered(bytes32,bytes32,address,uint64,bytes32,bytes32,bytes32,bytes32,uint64,uint256,bytes)"
)

# Where the first tail of each call begins: behind its head.
_REQUEST_HEAD = word(9 * WORD)
_DELIVER_HEAD = word((14 + 9 + 2) * WORD)
_RETRY_HEAD = word((14 + 1) * WORD)
_SETTLE_HEAD = word((7 + 2) * WORD)
_ROTATE_HEAD = word((5 + 2) * WORD)
_REQUESTED_HEAD = (14 + 2) * WORD


# Calls


def encode_request(question: Question) -> bytes:
    """Encode `request`; the fee travels as the transaction's value."""
    _bound("payload", question.payload, MAX_PAYLOAD)
    _bound("terms", question.terms, MAX_TERMS)
    payload = codec.bytes_tail(question.payload)
    return b"".join(
        (
            _REQUEST,
            question.agent_id,
            _REQUEST_HEAD,
            question.model_digest,
            word(9 * WORD + len(payload)),
            word(question.min_signers),
            question.dest_hub,
            question.callback,
            word(question.callback_gas),
            word(question.deadline),
            payload,
            codec.bytes_tail(question.terms),
        )
    )


def encode_deliver(
    intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
) -> bytes:
    """Encode `deliver`; signatures are ascending by their signers."""
    _bound("output", output, MAX_OUTPUT)
    _bound("signatures", signatures, MAX_SIGNERS)
    tail = codec.bytes_tail(output)
    return b"".join(
        (
            _DELIVER,
            intent.encode(),
            attestation.encode(),
            _DELIVER_HEAD,
            word((14 + 9 + 2) * WORD + len(tail)),
            tail,
            codec.signatures_tail(signatures),
        )
    )


def is_deliver(calldata: bytes) -> bool:
    """Whether calldata calls `deliver`."""
    return calldata[:4] == _DELIVER


def decode_deliver(calldata: bytes) -> tuple[Intent, Attestation, bytes, tuple[bytes, ...]]:
    """Read back what `encode_deliver` writes, and what every compiler does for the same arguments."""
    data = calldata[4:]
    attested = _INTENT_SIZE + 9 * WORD
    intent = Intent.decode(data[:_INTENT_SIZE])
    attestation = Attestation.decode(data[_INTENT_SIZE:attested])
    output, end = codec.read_bytes(data, attested, attested + 2 * WORD, MAX_OUTPUT)
    signatures = codec.read_signatures(data, attested + WORD, end, MAX_SIGNERS)
    if (
        not is_deliver(calldata)
        or encode_deliver(intent, attestation, output, signatures) != calldata
    ):
        raise ValueError("not a delivery in its one encoding")
    return intent, attestation, output, signatures


def encode_retry(intent: Intent, output: bytes) -> bytes:
    """Encode `retry`."""
    _bound("output", output, MAX_OUTPUT)
    return _RETRY + intent.encode() + _RETRY_HEAD + codec.bytes_tail(output)


def encode_settle(
    receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
) -> bytes:
    """Encode `settle`; signatures are ascending by their signers."""
    _bound("payouts", payouts, MAX_PAYOUTS)
    _bound("signatures", signatures, MAX_SIGNERS)
    tail = word(len(payouts)) + encode_payouts(payouts)
    return b"".join(
        (
            _SETTLE,
            receipt.encode(),
            _SETTLE_HEAD,
            word((7 + 2) * WORD + len(tail)),
            tail,
            codec.signatures_tail(signatures),
        )
    )


def encode_refund(intent_id: bytes) -> bytes:
    """Encode `refund`."""
    return _REFUND + intent_id


def encode_withdraw() -> bytes:
    """Encode `withdraw`."""
    return _WITHDRAW


def encode_rotate(
    rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
) -> bytes:
    """Encode `rotate`; signers are 20-byte addresses, ascending."""
    _bound("signers", signers, MAX_SIGNERS)
    _bound("signatures", signatures, MAX_SIGNERS)
    tail = codec.addresses(signers)
    return b"".join(
        (
            _ROTATE,
            rotation.encode(),
            _ROTATE_HEAD,
            word((5 + 2) * WORD + len(tail)),
            tail,
            codec.signatures_tail(signatures),
        )
    )


def encode_state_of(intent_id: bytes) -> bytes:
    """Encode the view `intentState`."""
    return _STATE_OF + intent_id


def encode_delivery_of(intent_id: bytes) -> bytes:
    """Encode the view `delivery`."""
    return _DELIVERY_OF + intent_id


def encode_credit_of(account: bytes) -> bytes:
    """Encode the view `credit` of a packed address."""
    codec.address(account, 0)
    return _CREDIT_OF + account


def _bound(name: str, items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        raise ValueError(f"{name}: {len(items)}, and the hub takes {limit} at most")


# The event


def decode_requested(event: ChainEvent, hub_id: bytes) -> Requested:
    """Decode and check an IntentRequested of the hub `hub_id`: hashes, id and topics must agree."""
    data = event.data
    intent = Intent.decode(data[:_INTENT_SIZE])
    payload, end = codec.read_bytes(data, _INTENT_SIZE, _REQUESTED_HEAD, MAX_PAYLOAD)
    terms, end = codec.read_bytes(data, _INTENT_SIZE + WORD, end, MAX_TERMS)
    if end != len(data):
        raise ValueError("bytes behind the event")
    if intent.origin_hub != hub_id:
        raise ValueError("an intent of another hub")
    if event.topics != (REQUESTED_TOPIC, intent.id, word(intent.seq)):
        raise ValueError("topics that are not the intent's")
    if keccak256(payload) != intent.payload_hash:
        raise ValueError("a payload that is not the intent's")
    if (keccak256(terms) if terms else ZERO32) != intent.terms_hash:
        raise ValueError("terms that are not the intent's")
    return Requested(intent, payload, terms, event.height, event.block_hash, event.tx_id)


# Views


@dataclass(frozen=True, slots=True)
class HubConfig:
    """The view `config`: times in seconds, `min_fee` in wei, guardians 20 bytes."""

    hub_id: bytes
    chain_id: int
    min_fee: int
    min_ttl: int
    max_ttl: int
    grace: int
    retry_window: int
    max_callback_gas: int
    callback_reserve: int
    first_seq: int
    next_seq: int
    guardian: bytes
    pending_guardian: bytes
    paused: bool


@dataclass(frozen=True, slots=True)
class Committee:
    """The view `committee`: `previous` counts until `previous_until`; None before a rotation."""

    current: SignerSet
    roster_hash: bytes
    previous: SignerSet | None
    previous_until: int


def decode_config(data: bytes) -> HubConfig:
    """Decode what `config` answers."""
    _size(data, 14)
    small = [codec.uint(data, at * WORD, 64) for at in range(3, 11)]
    return HubConfig(
        hub_id=data[:WORD],
        chain_id=codec.uint(data, WORD),
        min_fee=codec.uint(data, 2 * WORD),
        min_ttl=small[0],
        max_ttl=small[1],
        grace=small[2],
        retry_window=small[3],
        max_callback_gas=small[4],
        callback_reserve=small[5],
        first_seq=small[6],
        next_seq=small[7],
        guardian=codec.address(data, 11 * WORD),
        pending_guardian=codec.address(data, 12 * WORD),
        paused=codec.boolean(data, 13 * WORD),
    )


def decode_committee(data: bytes) -> Committee:
    """Decode what `committee` answers: one dynamic struct, behind an offset of its own."""
    if codec.uint(data, 0) != WORD:
        raise ValueError("offset at 0 is not 32")
    head = range(WORD, 9 * WORD, WORD)
    epoch, threshold = codec.uint(data, head[0], 64), codec.uint(data, head[1], 64)
    signers, end = codec.read_addresses(data, head[2], WORD, 8 * WORD, MAX_SIGNERS)
    before, limit = codec.uint(data, head[4], 64), codec.uint(data, head[5], 64)
    retired, end = codec.read_addresses(data, head[6], WORD, end - WORD, MAX_SIGNERS)
    if end != len(data):
        raise ValueError("bytes behind the committee")
    return Committee(
        current=SignerSet(epoch, signers, threshold),
        roster_hash=data[head[3] : head[3] + WORD],
        previous=SignerSet(before, retired, limit) if retired else None,
        previous_until=codec.uint(data, head[7], 64),
    )


def decode_intent_state(data: bytes) -> IntentState:
    """Decode what `intentState` answers, of which the state alone is needed."""
    _size(data, 5)
    return IntentState(codec.uint(data, 0, 8))


def decode_delivery(data: bytes) -> Delivery | None:
    """Decode what `delivery` answers; None where nothing was delivered."""
    _size(data, 8)
    delivered = codec.uint(data, 0, 64)
    if delivered == 0:
        if any(data):
            raise ValueError("a delivery without a time")
        return None
    return Delivery(
        output_hash=data[2 * WORD : 3 * WORD],
        status=Status(codec.uint(data, WORD, 64)),
        evidence_hash=data[3 * WORD : 4 * WORD],
        epoch=codec.uint(data, 4 * WORD, 64),
        signers=codec.uint(data, 5 * WORD, MAX_SIGNERS),
        deliverer=codec.address(data, 6 * WORD).rjust(WORD, b"\0"),
        time=delivered,
        callback=CallbackState(codec.uint(data, 7 * WORD, 8)),
    )


def decode_credit(data: bytes) -> int:
    """Decode what `credit` answers, in wei."""
    _size(data, 1)
    return codec.uint(data, 0)


def _size(data: bytes, words: int) -> None:
    if len(data) != words * WORD:
        raise ValueError(f"{words} words expected, not {len(data)} bytes")
