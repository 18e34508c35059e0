"""A delivered result of two members of three, made by eth_account and json alone, and its parts to bend."""

import json
from dataclasses import dataclass, field, fields
from typing import Any

from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from support.committees import address_of, key_of, roster
from vagus.adapters.base import CallbackState, Delivery
from vagus.adapters.delivered import Delivered
from vagus.daemon.verify.bundle import Bundle
from vagus.protocol import Attestation, Intent, SignerSet
from vagus.protocol.envelope import Envelope, Kind

__all__ = ["HUB", "Result", "canonical", "check_of", "evidence_of"]

HUB = "eip155:31338:0x" + "22" * 20
ORIGIN = "eip155:31337:0x" + "11" * 20
EPOCH = 7
ROSTER = roster(1, 2, 3)
ATTESTATION = [
    *({"name": name, "type": "bytes32"} for name in ("intentId", "originHub")),
    {"name": "status", "type": "uint64"},
    *(
        {"name": name, "type": "bytes32"}
        for name in ("outputHash", "agentDigest", "modelDigest", "evidenceHash")
    ),
    *({"name": name, "type": "uint64"} for name in ("epoch", "expiry")),
]
NO_MODEL = bytes(32)
AGENT = keccak(b"an agent")


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def canonical(value: Any) -> bytes:
    """RFC 8785 for ASCII keys, strings and integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest_of(attestation: Attestation, hub: str = HUB) -> bytes:
    domain = {"name": "vagus", "version": "1", "salt": keccak(hub.encode())}
    values = (getattr(attestation, each.name) for each in fields(attestation))
    message = dict(zip((each["name"] for each in ATTESTATION), values, strict=True))
    signable = encode_typed_data(domain, {"Attestation": ATTESTATION}, message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def intent_of(payload: bytes, **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "origin_hub": keccak(ORIGIN.encode()),
        "seq": 5,
        "requester": keccak(b"requester"),
        "agent_id": keccak(b"chat@1"),
        "payload_hash": keccak(payload),
        "model_digest": NO_MODEL,
        "terms_hash": bytes(32),
        "min_signers": 0,
        "dest_hub": keccak(HUB.encode()),
        "callback": bytes(32),
        "callback_gas": 0,
        "fee_asset": bytes(32),
        "max_fee": 10**18,
        "deadline": 2_000_000_000,
    }
    return Intent(**values | changes)


def evidence_of(intent: Intent, output: bytes, **changes: Any) -> bytes:
    """The evidence of a run that asked no model."""
    document = {
        "version": 1,
        "intent": {
            "id": hexed(intent.id),
            "origin_hub": hexed(intent.origin_hub),
            "dest_hub": hexed(intent.dest_hub),
            "payload_hash": hexed(intent.payload_hash),
            "terms_hash": hexed(intent.terms_hash),
        },
        "agent": {"name": "chat", "version": "1.2.0", "digest": hexed(AGENT)},
        "executor": hexed(address_of(1)),
        "mode": {"name": "exact", "parameters": {}},
        "output_hash": hexed(keccak(output)),
        "calls": [],
        "cost": "0",
        "times": {"started": 1, "finished": 2},
    }
    return canonical(document | changes)


def check_of(member: int, attestation: Attestation, **changes: Any) -> bytes:
    """A member's signed check; `key` (a number) signs it, `value` is the outcome that it is of."""
    key = changes.pop("key", member + 100)
    about: dict[str, Any] = {"right": True, "reason": "", "value": hexed(value_of(attestation))}
    about |= {name: changes.pop(name) for name in about.keys() & changes.keys()}
    envelope: dict[str, Any] = {
        "kind": Kind.CHECK,
        "network": keccak(b"vagus-committee:test"),
        "roster": ROSTER.digest(),
        "sender": address_of(member),
        "sequence": 9,
        "hub": keccak(HUB.encode()),
        "epoch": EPOCH,
        "intent": attestation.intent_id,
        "body": canonical(about),
    }
    return Envelope(**envelope | changes).seal(PrivateKey(bytes([key]) * 32))


def value_of(attestation: Attestation) -> bytes:
    """EIP-712's hashStruct of the outcome, by the definition."""
    kind = (
        b"Outcome(uint64 status,bytes32 outputHash,bytes32 agentDigest,bytes32 modelDigest,"
        b"bytes32 evidenceHash)"
    )
    words = (
        attestation.status.to_bytes(32, "big"),
        attestation.output_hash,
        attestation.agent_digest,
        attestation.model_digest,
        attestation.evidence_hash,
    )
    return keccak(keccak(kind) + b"".join(words))


@dataclass
class Result:
    """What is told of a delivery; `bundle` signs the attestation as it then is."""

    payload: bytes = b'{"prompt":"Hi"}'
    output: bytes = b"Hello"
    status: int = 0
    signers: tuple[int, ...] = (1, 2)
    intent: dict[str, Any] = field(default_factory=dict)
    attestation: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    document: bytes | None = None
    bundled: dict[str, Any] = field(default_factory=dict)

    def asked(self) -> Intent:
        return intent_of(self.payload, **self.intent)

    def attested(self) -> Attestation:
        intent = self.asked()
        document = self.document or evidence_of(intent, self.output, **self.evidence)
        values: dict[str, Any] = {
            "intent_id": intent.id,
            "origin_hub": intent.origin_hub,
            "status": self.status,
            "output_hash": keccak(self.output),
            "agent_digest": AGENT if self.status == 0 else bytes(32),
            "model_digest": NO_MODEL,
            "evidence_hash": keccak(document),
            "epoch": EPOCH,
            "expiry": intent.deadline,
        }
        return Attestation(**values | self.attestation)

    def bundle(self) -> Bundle:
        intent, attestation = self.asked(), self.attested()
        members = sorted(address_of(each) for each in (1, 2, 3))
        signing = sorted(self.signers, key=address_of)
        signatures = tuple(
            bytes(Account.unsafe_sign_hash(digest_of(attestation), key_of(each).key).signature)
            for each in signing
        )
        record = Delivery(
            output_hash=attestation.output_hash,
            status=attestation.status,
            evidence_hash=attestation.evidence_hash,
            epoch=attestation.epoch,
            signers=sum(
                1 << members.index(address_of(each))
                for each in self.signers
                if address_of(each) in members
            ),
            deliverer=bytes(32),
            time=1_900_000_000,
            callback=CallbackState.NONE,
        )
        parts: dict[str, Any] = {
            "hub": HUB,
            "delivered": Delivered(
                "0x" + "ab" * 32, 12, intent, attestation, self.output, signatures
            ),
            "signers": SignerSet(EPOCH, tuple(members), 2),
            "roster_hash": ROSTER.digest(),
            "record": record,
            "payload": self.payload,
            "terms": b"",
            "evidence": self.document or evidence_of(intent, self.output, **self.evidence),
            "roster": ROSTER.document(),
            "checks": (check_of(2, attestation), check_of(3, attestation)),
        }
        return Bundle(**parts | self.bundled)
