"""Changing the members: a proposal with one Rotation a hub, and the members' approvals of it.

Both are JSON documents that people hand to each other. A proposal's id is the Keccak-256 of its RFC 8785
form; an approval carries the id and, for each hub, the signature that the hub itself will check: who
alters a proposal has no approvals of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vagus.daemon.member import KeyAddress
from vagus.daemon.roster import MAX_ROSTER, Roster
from vagus.daemon.strict_json import read_json
from vagus.protocol import (
    Account,
    QuorumError,
    Refuse,
    Rotation,
    SignatureError,
    SignerSet,
    canonical,
    hub_id,
    keccak256,
    recover,
    signers_hash,
    verify_quorum,
)
from vagus.protocol.limits import MAX_ENVELOPE

__all__ = [
    "MAX_DOCUMENT",
    "WINDOW",
    "Approval",
    "HubChange",
    "Proposal",
    "read_approval",
    "read_proposal",
    "read_rotation_body",
    "rotation_body",
    "signatures_of",
]

WINDOW = 7 * 86_400
"""Seconds from its validFrom for which a hub takes a rotation."""

MAX_HUBS = 64
MAX_DOCUMENT = MAX_ROSTER + 32_768
"""Bytes of a proposal or an approval: a roster, and what is said of 64 hubs."""

# With the envelope's header and signature, both in one envelope.
_MAX_BODY = MAX_ENVELOPE - 512
_EXACT = (1 << 53) - 1
_SIGNATURE = re.compile("0x[0-9a-f]{130}")
_HASH = re.compile("0x[0-9a-f]{64}")


def _hub(text: str) -> str:
    if str(Account.parse(text)) != text:
        raise ValueError(f"{text!r} is not written as CAIP-10 is here: {Account.parse(text)}")
    return text


def _signature(text: str) -> str:
    if _SIGNATURE.fullmatch(text) is None:
        raise ValueError("a signature is 0x and 130 lower-case hex digits")
    return text


def _hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise ValueError("a proposal's id is 0x and 64 lower-case hex digits")
    return text


Hub = Annotated[str, AfterValidator(_hub)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1

    def document(self) -> bytes:
        """Return the RFC 8785 bytes."""
        written: dict[str, Any] = self.model_dump(mode="json")
        return canonical(written)


class HubChange(BaseModel):
    """On one hub (CAIP-10): the epoch that begins, and from when on, in seconds, the hub takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: Hub
    epoch: Annotated[int, Field(ge=1, le=_EXACT)]
    valid_from: Annotated[int, Field(ge=0, le=_EXACT - WINDOW)]

    @property
    def until(self) -> int:
        """The last second in which the hub takes it."""
        return self.valid_from + WINDOW


class Proposal(_Document):
    """A roster, how many of its members sign, and the hubs that it is to be in force on."""

    roster: Roster
    threshold: Annotated[int, Field(ge=1)]
    hubs: Annotated[tuple[HubChange, ...], Field(min_length=1, max_length=MAX_HUBS)]

    @model_validator(mode="after")
    def _is_one_that_hubs_take(self) -> Self:
        try:
            SignerSet(0, self.roster.signers, self.threshold)
        except QuorumError as error:
            raise ValueError(str(error)) from None
        names = [each.hub for each in self.hubs]
        if names != sorted(set(names)):
            raise ValueError("the hubs are not there once each, in the order of their ids")
        return self

    @property
    def id(self) -> bytes:
        """What an approval is of, 32 bytes."""
        return keccak256(self.document())

    def change(self, hub: str) -> HubChange:
        """Return what happens on a hub; Refuse where nothing does."""
        for each in self.hubs:
            if each.hub == hub:
                return each
        raise Refuse(f"the proposal has nothing for {hub}")

    def rotation(self, hub: str) -> Rotation:
        """Return the message that a hub's current set signs."""
        change = self.change(hub)
        return Rotation(
            epoch=change.epoch,
            signers_hash=signers_hash(self.roster.signers),
            threshold=self.threshold,
            valid_from=change.valid_from,
            roster_hash=self.roster.digest(),
        )

    def digest(self, hub: str) -> bytes:
        """Return what is signed for a hub, 32 bytes."""
        return self.rotation(hub).digest(hub_id(hub))


class Approval(_Document):
    """One member's signatures of a proposal's rotations, r‖s‖v in hex by hub."""

    proposal: Annotated[str, AfterValidator(_hash)]
    signer: KeyAddress
    signatures: Annotated[
        dict[Hub, Annotated[str, AfterValidator(_signature)]],
        Field(min_length=1, max_length=MAX_HUBS),
    ]

    def require(self, proposal: Proposal) -> None:
        """Raise Refuse unless it is of this proposal, and each signature its signer's."""
        if bytes.fromhex(self.proposal[2:]) != proposal.id:
            raise Refuse(
                f"the approval of {self.signer} is of proposal {self.proposal}, and this one is "
                f"0x{proposal.id.hex()}: have this one approved"
            )
        for hub, signature in self.signatures.items():
            try:
                found = recover(proposal.digest(hub), bytes.fromhex(signature[2:]))
            except SignatureError as error:
                raise Refuse(f"the approval of {self.signer} for {hub}: {error}") from None
            if found != bytes.fromhex(self.signer[2:]):
                raise Refuse(
                    f"the approval of {self.signer} for {hub} is signed by 0x{found.hex()}"
                )


def signatures_of(
    proposal: Proposal, hub: str, current: SignerSet, approvals: Iterable[Approval]
) -> tuple[bytes, ...]:
    """Return a quorum of the current set's signatures, ascending by signers, as the hub will check it.

    Raises Refuse for an approval that is none of this proposal, and in words for members whose
    approvals are missing.
    """
    found: dict[bytes, bytes] = {}
    for approval in approvals:
        approval.require(proposal)
        signer = bytes.fromhex(approval.signer[2:])
        if signer in current.signers and hub in approval.signatures:
            found[signer] = bytes.fromhex(approval.signatures[hub][2:])
    if len(found) < current.threshold:
        missing = [f"0x{each.hex()}" for each in current.signers if each not in found]
        raise Refuse(
            f"{len(found)} of {current.threshold} approvals by members of its set; any of these may "
            f"approve: {', '.join(missing)}"
        )
    signatures = tuple(found[signer] for signer in sorted(found))[: current.threshold]
    verify_quorum(proposal.digest(hub), signatures, current.signers, current.threshold)
    return signatures


def read_proposal(data: bytes) -> Proposal:
    """Read a proposal's JSON. Raises ValueError; pydantic's names the places."""
    return Proposal.model_validate(read_json(data, MAX_DOCUMENT))


def read_approval(data: bytes) -> Approval:
    """Read an approval's JSON. Raises ValueError; pydantic's names the places."""
    return Approval.model_validate(read_json(data, MAX_DOCUMENT))


def rotation_body(proposal: Proposal, approval: Approval) -> bytes:
    """Return an approval with what it approves as the body of an envelope, canonical JSON.

    Raises Refuse for an approval that is none of this proposal, ValueError for what no envelope holds.
    """
    approval.require(proposal)
    body = canonical(
        {
            "approval": approval.model_dump(mode="json"),
            "proposal": proposal.model_dump(mode="json"),
        }
    )
    if len(body) > _MAX_BODY:
        raise ValueError(f"{len(body)} bytes are no envelope's body: hand the files over instead")
    return body


def read_rotation_body(body: bytes) -> tuple[Proposal, Approval]:
    """Read such a body. Raises ValueError, also where the approval is none of the proposal."""
    table = read_json(body, _MAX_BODY)
    if not isinstance(table, dict) or table.keys() != {"approval", "proposal"}:
        raise ValueError("is not an approval and its proposal")
    proposal = Proposal.model_validate(table["proposal"])
    approval = Approval.model_validate(table["approval"])
    try:
        approval.require(proposal)
    except Refuse as error:
        raise ValueError(error.reason) from None
    return proposal, approval
