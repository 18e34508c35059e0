"""How a committee came to a result: the evidence document, and what each member found of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vagus.agents.document import read_evidence
from vagus.compute.bounds import one_line
from vagus.daemon.committee.checks import MAX_CHECK
from vagus.daemon.roster import Roster, read_roster
from vagus.daemon.verify.bundle import Line
from vagus.protocol import (
    Json,
    Refuse,
    SignatureError,
    Status,
    canonical,
    hub_id,
    keccak256,
    outcome_value,
)
from vagus.protocol.envelope import EnvelopeError, Kind, open_envelope

if TYPE_CHECKING:
    from vagus.agents.document import Document, SourceDocument
    from vagus.daemon.verify.bundle import Bundle

__all__ = ["check_evidence", "check_members"]


def check_evidence(bundle: Bundle) -> list[Line]:
    """Check the document behind the evidenceHash, and that it tells of this delivery."""
    told, data = bundle.delivered.attestation, bundle.evidence
    if data is None:
        return [Line("evidence", None, f"{_hex(told.evidence_hash)} is not at hand")]
    if keccak256(data) != told.evidence_hash:
        found = f"the document hashes to {_hex(keccak256(data))}, and another was signed"
        return [Line("evidence", False, found)]
    whole = Line("evidence", True, f"{len(data)} bytes, {_hex(told.evidence_hash)}")
    if told.status != Status.FULFILLED:
        return [whole, _reason(bundle, data)]
    try:
        document = read_evidence(data)
    except Refuse as error:
        return [whole, Line("document", False, error.reason)]
    return [whole, *_document(bundle, document)]


def _reason(bundle: Bundle, data: bytes) -> Line:
    """Read why there is no answer."""
    told = bundle.delivered.attestation
    try:
        found = msgspec.json.decode(data, type=_Refused, strict=True)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Line("document", False, f"it is not understood: {error}")
    whole: dict[str, Json] = {
        "version": 1,
        "intent": _hex(told.intent_id),
        "status": told.status,
        "reason": found.reason,
    }
    if canonical(whole) != data:
        return Line("document", False, "it is of another intent, or of another status")
    return Line("document", True, f"there is no answer: {found.reason}")


class _Refused(msgspec.Struct):
    reason: str


def _document(bundle: Bundle, document: Document) -> list[Line]:
    intent, told = bundle.delivered.intent, bundle.delivered.attestation
    fields = {name: _hex(getattr(intent, name)) for name in document.intent.__struct_fields__}
    others = [name for name, value in fields.items() if getattr(document.intent, name) != value]
    agent, models = document.agent, sorted({each.model.name for each in document.calls})
    if document.output_hash != _hex(told.output_hash):
        others.append("output_hash")
    mine = f"of this intent and this output, checked as {document.mode.name!r}"
    lines = [
        Line("document", not others, f"of another {', '.join(others)}" if others else mine),
        Line(
            "agent",
            agent.digest == _hex(told.agent_digest),
            f"{agent.name} {agent.version}, digest {agent.digest}",
        ),
        Line(
            "model",
            document.models() == told.model_digest,
            f"{', '.join(models) or 'none'}, digest {_hex(told.model_digest)}",
        ),
    ]
    lines += [_source(each) for each in document.sources]
    lines += _roster_agent(bundle, document)
    return [*lines, *_members(bundle, document)]


def _source(source: SourceDocument) -> Line:
    """Tell what the executor says it read: a server's answer is nobody else's to check later."""
    whose = "without TLS"
    if source.certificate is not None:
        whose = f"certificate {source.certificate.sha256}"
    read = f"{source.size} bytes, sha256 {source.sha256}, {whose}, at {source.read_at} ms"
    return Line("source", None, f"{one_line(source.url)}: {read}, says the executor")


def _roster_agent(bundle: Bundle, document: Document) -> list[Line]:
    """Hold the agent against the roster's, where the roster names agents."""
    roster = _roster(bundle)
    name = f"{document.agent.name}@{document.agent.version.partition('.')[0]}"
    if roster is None or name not in roster.agents:
        return []
    same = _hex(roster.agent_digest(name)) == document.agent.digest
    return [Line("roster's agent", same, f"{name} is {'' if same else 'not '}the committee's")]


def _members(bundle: Bundle, document: Document) -> list[Line]:
    """Whether those who ran it are members of the set."""
    ran = [document.executor, *(each.signer for each in document.results)]
    if bundle.signers is None:
        return [Line("executor", None, f"{ran[0]}; the set of that epoch is not at hand")]
    members = {_hex(each) for each in bundle.signers.signers}
    strangers = [each for each in ran if each not in members]
    said = f"{strangers[0]} is no member" if strangers else f"{ran[0]} is a member"
    if document.results and not strangers:
        said += f", and so are the {len(document.results)} whose results were combined"
    return [Line("executor", not strangers, said)]


# The members' checks


def _roster(bundle: Bundle) -> Roster | None:
    try:
        return None if bundle.roster is None else read_roster(bundle.roster)
    except ValueError:
        return None


def check_members(bundle: Bundle) -> list[Line]:
    """Check what members say that they found, by the keys that the roster gives them."""
    if not bundle.checks:
        return []
    roster = _roster(bundle)
    if bundle.roster is None:
        return [Line("roster", None, f"not at hand: {len(bundle.checks)} checks have no keys")]
    if roster is None:
        return [Line("roster", False, "it is not understood")]
    digest = keccak256(bundle.roster)
    if bundle.roster_hash is None or digest == bundle.roster_hash:
        told = "is the hub's" if bundle.roster_hash else "is what the checks name"
        lines = [Line("roster", True if bundle.roster_hash else None, f"{_hex(digest)} {told}")]
    else:
        lines = [Line("roster", None, f"{_hex(digest)}; the hub has a newer one by now")]
    return lines + [_check(bundle, roster, digest, each) for each in bundle.checks]


def _check(bundle: Bundle, roster: Roster, digest: bytes, frame: bytes) -> Line:
    """Read one member's check: signed by its transport key, and of this very outcome."""
    told = bundle.delivered.attestation
    try:
        envelope, signer = open_envelope(frame)
    except (EnvelopeError, SignatureError) as error:
        return Line("check", False, str(error))
    what = f"check of {_hex(envelope.sender)}"
    try:
        member = roster.member(envelope.sender)
    except Refuse as error:
        return Line(what, False, error.reason)
    about = (envelope.kind, envelope.network, envelope.roster, envelope.intent, envelope.hub)
    wanted = (Kind.CHECK, roster.network, digest, told.intent_id, hub_id(bundle.hub))
    if signer != member.transport_address:
        return Line(what, False, f"it is signed by {_hex(signer)}, not by its transport key")
    if (*about, envelope.epoch) != (*wanted, told.epoch):
        return Line(what, False, "it is about something else")
    try:
        if len(envelope.body) > MAX_CHECK:
            raise ValueError(f"it has over {MAX_CHECK} bytes")
        found = msgspec.json.decode(envelope.body, type=_Check)
    except (ValueError, RecursionError) as error:
        return Line(what, False, f"it is not understood: {error}")
    reason = f": {found.reason}" if found.reason else ""
    if found.value != _hex(outcome_value(told)):
        return Line(what, None, f"it is of a proposal that was not decided{reason}")
    if not found.right:
        return Line(what, None, f"it found this outcome wrong{reason}")
    return Line(what, True, f"it found this outcome right{reason}")


class _Check(msgspec.Struct):
    value: str
    right: bool
    reason: str


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
