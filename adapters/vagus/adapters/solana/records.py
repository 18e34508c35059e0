"""The hub's accounts as bytes: where they lie, and what is in them. No I/O.

Layouts are those of docs/hub-solana.md. Each begins with a byte that says its kind, then its bump.
Decoders raise ValueError for what the program never writes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from vagus.adapters.base import CallbackState, Delivery, IntentState
from vagus.adapters.solana import codec
from vagus.protocol import (
    MAX_PAYLOAD,
    MAX_SIGNERS,
    MAX_TERMS,
    ZERO32,
    Intent,
    SignerSet,
    Status,
    keccak256,
)

__all__ = [
    "INTENT_ID_AT",
    "INTENT_KIND",
    "SEQ_AT",
    "STAGED_AT",
    "Config",
    "EpochSet",
    "Escrow",
    "Places",
    "Registered",
    "credit",
    "read_config",
    "read_delivery",
    "read_escrow",
    "read_registry",
    "read_signers",
]

_CONFIG, _SIGNERS, INTENT_KIND, _DELIVERY, _CREDIT, _STAGING, _REGISTRY = range(1, 8)
INTENT_ID_AT, SEQ_AT, STAGED_AT = 48, 128, 48
_ADDRESS = 20


class Places:
    """Where a hub's accounts lie: program derived addresses."""

    def __init__(self, program: Pubkey) -> None:
        self.program = program
        self.config = self._at(b"config")

    def signers(self, epoch: int) -> Pubkey:
        """Return the account of an epoch's signer set."""
        return self._at(b"signers", codec.u64(epoch))

    def intent(self, requester: bytes, nonce: int) -> Pubkey:
        """Return the account of an intent."""
        return self._at(b"intent", requester, codec.u64(nonce))

    def credit(self, owner: bytes) -> Pubkey:
        """Return the account of what an owner is owed."""
        return self._at(b"credit", owner)

    def delivery(self, intent_id: bytes) -> Pubkey:
        """Return the account of a delivery."""
        return self._at(b"delivery", intent_id)

    def staging(self, writer: bytes, number: int) -> Pubkey:
        """Return a writer's staging account."""
        return self._at(b"staging", writer, codec.u64(number))

    def registry(self, consumer: bytes) -> Pubkey:
        """Return the account of what a consumer's callback needs."""
        return self._at(b"registry", consumer)

    def callback_signer(self, consumer: bytes) -> Pubkey:
        """Return who signs a consumer's callback: nobody else is ever called with it."""
        return self._at(b"callback", consumer)

    def _at(self, *seeds: bytes) -> Pubkey:
        return Pubkey.find_program_address(list(seeds), self.program)[0]


@dataclass(frozen=True, slots=True)
class Config:
    """The hub's configuration and counters: times in seconds, `min_fee` in lamports."""

    paused: bool
    hub_id: bytes
    genesis: bytes
    guardian: bytes
    min_fee: int
    min_ttl: int
    max_ttl: int
    grace: int
    max_callback_gas: int
    first_seq: int
    next_seq: int
    epoch: int
    previous_until: int
    slot: int


_CONFIG_LAYOUT = struct.Struct("<BBB5x32s32s32s32s32sQQQQQQQQQQQ")


def read_config(data: bytes) -> Config:
    """Decode the config account."""
    found = _unpack(_CONFIG_LAYOUT, data, _CONFIG)
    if len(data) != _CONFIG_LAYOUT.size:
        raise ValueError(f"a config has {_CONFIG_LAYOUT.size} bytes, not {len(data)}")
    _, _, paused, hub_id, _, genesis, guardian, _, *numbers = found
    if paused > 1:
        raise ValueError("paused is neither 0 nor 1")
    min_fee, min_ttl, max_ttl, grace, gas, _, first_seq, next_seq, epoch, until, slot = numbers
    if next_seq < first_seq:
        raise ValueError("the next seq is under the first one")
    return Config(
        paused=bool(paused),
        hub_id=hub_id,
        genesis=genesis,
        guardian=guardian,
        min_fee=min_fee,
        min_ttl=min_ttl,
        max_ttl=max_ttl,
        grace=grace,
        max_callback_gas=gas,
        first_seq=first_seq,
        next_seq=next_seq,
        epoch=epoch,
        previous_until=until,
        slot=slot,
    )


_SIGNERS_LAYOUT = struct.Struct("<BBBB4xQ32s")


class EpochSet(NamedTuple):
    """An epoch's account: who may sign in it, and the hash of their roster."""

    signers: SignerSet
    roster_hash: bytes


def read_signers(data: bytes) -> EpochSet:
    """Decode an epoch's signer set."""
    _, _, threshold, size, epoch, roster_hash = _unpack(_SIGNERS_LAYOUT, data, _SIGNERS)
    start = _SIGNERS_LAYOUT.size
    if not 0 < size <= MAX_SIGNERS or len(data) != start + size * _ADDRESS:
        raise ValueError(f"{len(data)} bytes for {size} signers")
    addresses = [data[at : at + _ADDRESS] for at in range(start, len(data), _ADDRESS)]
    if addresses != sorted(set(addresses)):
        raise ValueError("signers that do not ascend")
    return EpochSet(SignerSet(epoch, tuple(addresses), threshold), roster_hash)


class Escrow(NamedTuple):
    """An intent's account: what was asked, and what became of it."""

    state: IntentState
    nonce: int
    slot: int
    intent: Intent
    payload: bytes
    terms: bytes


_ESCROW_LAYOUT = struct.Struct("<BBB5xQ32s32sQQ")


def read_escrow(data: bytes, hub_id: bytes) -> Escrow:
    """Decode an intent's account and check it: id and hashes must be the intent's own."""
    found = _unpack(_ESCROW_LAYOUT, data, INTENT_KIND)
    _, _, state, nonce, _, intent_id, _, slot = found
    at = _ESCROW_LAYOUT.size
    intent = codec.read_intent(data[at : at + codec.INTENT_SIZE])
    payload, at = codec.read_string(data, at + codec.INTENT_SIZE, MAX_PAYLOAD)
    terms, at = codec.read_string(data, at, MAX_TERMS)
    if at != len(data):
        raise ValueError("bytes behind the intent")
    if intent.origin_hub != hub_id:
        raise ValueError("an intent of another hub")
    if intent.id != intent_id:
        raise ValueError("an id that is not the intent's")
    if keccak256(payload) != intent.payload_hash:
        raise ValueError("a payload that is not the intent's")
    if (keccak256(terms) if terms else ZERO32) != intent.terms_hash:
        raise ValueError("terms that are not the intent's")
    if state == IntentState.NONE:
        raise ValueError("an intent without a state")
    return Escrow(IntentState(state), nonce, slot, intent, payload, terms)


_DELIVERY_LAYOUT = struct.Struct("<BBBBI32s32s32s32sQQQQ")


def read_delivery(data: bytes, intent_id: bytes) -> Delivery:
    """Decode what was delivered for an intent."""
    found = _unpack(_DELIVERY_LAYOUT, data, _DELIVERY)
    _, _, status, callback, signers, named, output, evidence, deliverer, epoch, time, _, _ = found
    if named != intent_id:
        raise ValueError("another intent's delivery")
    return Delivery(
        output_hash=output,
        status=Status(status),
        evidence_hash=evidence,
        epoch=epoch,
        signers=signers,
        deliverer=deliverer,
        time=time,
        callback=CallbackState(callback),
    )


_CREDIT_LAYOUT = struct.Struct("<BB6x32sQ")


def credit(data: bytes, owner: bytes) -> int:
    """Decode what an owner is owed, in lamports."""
    _, _, named, amount = _unpack(_CREDIT_LAYOUT, data, _CREDIT)
    if named != owner:
        raise ValueError("another owner's credit")
    return int(amount)


class Registered(NamedTuple):
    """An account that a consumer's callback is handed."""

    key: bytes
    writable: bool


_REGISTRY_LAYOUT = struct.Struct("<BBBB4x32s")
_PLACE = 33
_MAX_REGISTERED = 16


def read_registry(data: bytes, consumer: bytes) -> list[Registered]:
    """Decode what a consumer has registered."""
    found = _unpack(_REGISTRY_LAYOUT, data, _REGISTRY)
    _, _, _, count, named = found
    start = _REGISTRY_LAYOUT.size
    if named != consumer or count > _MAX_REGISTERED or len(data) < start + count * _PLACE:
        raise ValueError("another consumer's registry, or a broken one")
    places = [data[at : at + _PLACE] for at in range(start, start + count * _PLACE, _PLACE)]
    return [Registered(each[:32], bool(each[32])) for each in places]


def _unpack(layout: struct.Struct, data: bytes, kind: int) -> tuple[Any, ...]:
    if len(data) < layout.size or data[:1] != bytes((kind,)):
        raise ValueError(f"no account of kind {kind}: {len(data)} bytes")
    return layout.unpack_from(data)
