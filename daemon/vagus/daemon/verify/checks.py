"""What is checked of a delivered result, line by line. No I/O, no clock, no config.

What must hold is that enough members of the destination's signer set signed this output of this
intent. The rest, where it is at hand, shows how they came to it: the question, the evidence, what each
member found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.daemon.verify.bundle import Line
from vagus.daemon.verify.proof import check_evidence, check_members
from vagus.protocol import (
    ZERO32,
    QuorumError,
    SignatureError,
    Status,
    hash_terms,
    hub_id,
    keccak256,
    recover,
    signers_hash,
)

if TYPE_CHECKING:
    from vagus.daemon.verify.bundle import Bundle
    from vagus.protocol import SignerSet

__all__ = ["recovered", "verified", "verify"]

_NEEDED = frozenset({"intent", "output", "attestation", "signatures", "evidence"})


def verified(lines: list[Line]) -> bool:
    """Whether nothing contradicts the result, and all that must be told is told."""
    told = {each.what for each in lines if each.holds}
    return told >= _NEEDED and all(each.holds is not False for each in lines)


def verify(bundle: Bundle, intent_id: bytes) -> list[Line]:
    """Check a delivery of this intent (32 bytes), and all that goes with it."""
    lines = [
        _intent(bundle, intent_id),
        *_question(bundle),
        _output(bundle),
        _attestation(bundle),
        _signatures(bundle),
        _record(bundle),
    ]
    return [*lines, *check_evidence(bundle), *check_members(bundle)]


def recovered(bundle: Bundle) -> list[bytes]:
    """Return who signed the attestation, 20-byte addresses; a signature that is none is left out."""
    told = bundle.delivered
    digest = told.attestation.digest(hub_id(bundle.hub))
    found = []
    for signature in told.signatures:
        try:
            found.append(recover(digest, signature))
        except SignatureError:
            continue
    return found


def _intent(bundle: Bundle, intent_id: bytes) -> Line:
    intent = bundle.delivered.intent
    if intent.id != intent_id:
        return Line("intent", False, f"its struct hashes to {_hex(intent.id)}")
    if intent.dest_hub != hub_id(bundle.hub):
        return Line("intent", False, f"its answer does not belong to {bundle.hub}")
    return Line("intent", True, f"{_hex(intent.id)} is the hash of its struct")


def _question(bundle: Bundle) -> list[Line]:
    intent, lines = bundle.delivered.intent, []
    for what, data, expected in (
        ("payload", bundle.payload, intent.payload_hash),
        ("terms", bundle.terms, intent.terms_hash),
    ):
        if data is None:
            lines.append(Line(what, None, f"not at hand; it hashes to {_hex(expected)}"))
            continue
        found = keccak256(data) if what == "payload" else hash_terms(data)
        same = "is what was asked" if found == expected else "is another than was asked"
        lines.append(Line(what, found == expected, f"{len(data)} bytes, {_hex(found)}, {same}"))
    return lines


def _output(bundle: Bundle) -> Line:
    told = bundle.delivered
    found = keccak256(told.output)
    if found != told.attestation.output_hash:
        signed = _hex(told.attestation.output_hash)
        return Line("output", False, f"it hashes to {_hex(found)}, and {signed} was signed")
    return Line("output", True, f"{len(told.output)} bytes, {_hex(found)}")


def _attestation(bundle: Bundle) -> Line:
    """Hold the attestation against the intent, as the hub does."""
    intent, told = bundle.delivered.intent, bundle.delivered.attestation
    answered = told.status == Status.FULFILLED
    rules = (
        (told.intent_id == intent.id, "it is of another intent"),
        (told.origin_hub == intent.origin_hub, "it names another origin"),
        (told.status in set(Status), f"its status is {told.status}"),
        (answered or bundle.delivered.output == b"", "it has an output without an answer"),
        (
            not answered or intent.model_digest in {ZERO32, told.model_digest},
            f"{_hex(intent.model_digest)} was asked for, and {_hex(told.model_digest)} answered",
        ),
    )
    for holds, fault in rules:
        if not holds:
            return Line("attestation", False, fault)
    status = Status(told.status).name.lower()
    return Line("attestation", True, f"{status}, of epoch {told.epoch}, digest {_digest(bundle)}")


def _signatures(bundle: Bundle) -> Line:
    told, known = bundle.delivered, bundle.signers
    found = recovered(bundle)
    names = ", ".join(map(_hex, found)) or "nobody"
    if len(found) != len(told.signatures):
        return Line(
            "signatures", False, f"some are no signatures of this digest; signed by {names}"
        )
    if known is None:
        return Line("signatures", None, f"by {names}; the set of that epoch is not at hand")
    try:
        needed = _needed(bundle, known)
        if known.epoch != told.attestation.epoch:
            raise QuorumError(f"the set is of epoch {known.epoch}, not {told.attestation.epoch}")
        if strangers := [each for each in found if each not in known.signers]:
            raise QuorumError(f"{_hex(strangers[0])} is no member")
        if found != sorted(set(found)):
            raise QuorumError("a member signed twice, or they are not ascending")
        if len(found) < needed:
            raise QuorumError(f"{len(found)} are too few, {needed} are needed")
    except QuorumError as error:
        return Line("signatures", False, f"by {names}: {error}")
    of = f"{needed} of {len(known.signers)} are needed, set {_hex(signers_hash(known.signers))}"
    return Line("signatures", True, f"by {names}; {of}")


def _needed(bundle: Bundle, known: SignerSet) -> int:
    """Return how many signatures the hub asks for."""
    answered = bundle.delivered.attestation.status == Status.FULFILLED
    asked = bundle.delivered.intent.min_signers if answered else 0
    if asked > len(known.signers):
        raise QuorumError(f"{asked} signers were asked for, the set has {len(known.signers)}")
    return max(known.threshold, asked)


def _record(bundle: Bundle) -> Line:
    record, told = bundle.record, bundle.delivered.attestation
    if record is None:
        return Line("hub", None, "what it has of the delivery is not at hand")
    kept = (record.output_hash, record.status, record.evidence_hash, record.epoch)
    if kept != (told.output_hash, told.status, told.evidence_hash, told.epoch):
        return Line("hub", False, "it has another outcome of this intent")
    if bundle.signers is not None:
        members = bundle.signers.signers
        bits = sum(1 << members.index(each) for each in recovered(bundle) if each in members)
        if bits != record.signers:
            return Line("hub", False, "it has other members as signers")
    where = f"{bundle.hub}, in {bundle.delivered.tx_id}"
    return Line("hub", True, f"{where}, of block {bundle.delivered.height}")


def _digest(bundle: Bundle) -> str:
    return _hex(bundle.delivered.attestation.digest(hub_id(bundle.hub)))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
