"""Where an intent stands in the committee, in words: who has said what, who is missing and why, what is next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vagus.daemon.committee.members import PRESENT_SECONDS
from vagus.protocol.agreement import Step
from vagus.protocol.envelope import Kind
from vagus.protocol.votes import Ballot

if TYPE_CHECKING:
    from vagus.daemon.committee.gathering import Gathering
    from vagus.daemon.committee.members import Members
    from vagus.daemon.committee.session import Session
    from vagus.daemon.journal.records import IntentRecord

__all__ = ["agreeing", "signing"]

_SAID = {
    Kind.COMMIT: "has a result of its own",
    Kind.REVEAL: "has shown its result",
    Kind.PROPOSAL: "has proposed",
    Kind.CHECK: "has checked the proposal",
    Kind.PREVOTE: "has voted",
    Kind.PRECOMMIT: "has voted for good",
    Kind.DECISION: "has decided",
}


def agreeing(session: Session, members: Members, record: IntentRecord) -> dict[str, Any]:
    """Return how far the agreement on an intent is."""
    agreement, voters = session.agreement, session.members
    leader = voters.leader(max(agreement.round, 0))
    shown = []
    for signer in sorted(voters.leaders):
        me = signer == voters.me
        found = session.verdicts.get(signer)
        state = _own_state(session) if me else _state(session, members, record, signer)
        if found is not None and not found[0]:
            state = f"finds the proposal wrong: {found[1]}"
        shown.append({"signer": "0x" + signer.hex(), "state": state})
    return {
        "phase": "agreeing",
        "round": max(agreement.round, 0),
        "leader": "0x" + leader.hex(),
        "votes_needed": voters.votes,
        "members": shown,
        "next": _next(session, leader),
    }


def signing(gathering: Gathering, members: Members, me: bytes, what: str) -> dict[str, Any]:
    """Return whose signatures have come; `what` is what is signed."""
    signed = gathering.signers
    shown = [
        {
            "signer": "0x" + signer.hex(),
            "state": "has signed" if signer in signed else _absence(members, signer, me),
        }
        for signer in sorted(gathering.members)
    ]
    missing = max(0, gathering.needed - len(signed))
    plural = "signature" if missing == 1 else "signatures"
    return {
        "phase": f"signing the {what}",
        "votes_needed": gathering.needed,
        "members": shown,
        "next": f"waits for {missing} more {plural}; this node's own is sent again until they come"
        if missing
        else "has all signatures",
    }


def _own_state(session: Session) -> str:
    if session.own is None and session.waiting:
        return f"this node; it has no result yet: {session.waiting}"
    if session.own is None:
        return "this node; its own run is under way"
    return f"this node; it {_SAID.get(session.said or Kind.COMMIT, 'takes part')}"


def _state(session: Session, members: Members, record: IntentRecord, signer: bytes) -> str:
    kind = session.heard.get(signer)
    if kind is not None:
        return _SAID.get(kind, "takes part")
    known = members.by_signer.get(signer)
    if known is None:
        return "is not in this node's roster"
    chain = record.origin.rpartition(":")[0]
    heads = known.beat.get("chains")
    head = heads.get(chain) if isinstance(heads, dict) else None
    final = head.get("final") if isinstance(head, dict) else None
    if signer in members.present() and isinstance(final, int) and final < record.height:
        return f"has not seen it: block {final} is its newest final one, the request is in {record.height}"
    return _absence(members, signer, session.members.me)


def _absence(members: Members, signer: bytes, me: bytes) -> str:
    if signer == me:
        return "this node; it has not signed"
    known = members.by_signer.get(signer)
    if known is None or known.at is None:
        return "was never heard of"
    silent = time.monotonic() - known.at
    if silent > PRESENT_SECONDS:
        return f"offline since {silent:.0f} s"
    return "is there, and has said nothing of it"


def _next(session: Session, leader: bytes) -> str:
    agreement, voters = session.agreement, session.members
    if session.own is None and agreement.round < 0:
        return "waits for this node's own run"
    who = "this node" if leader == voters.me else f"0x{leader.hex()}"
    missing = voters.votes - session.committed
    if missing > 0:
        others = "member" if missing == 1 else "members"
        return f"waits for {missing} more {others} to have a result; then {who} proposes"
    if agreement.step is Step.PROPOSE:
        return f"waits for {who} to propose; when its time is over the next member leads"
    ballot = Ballot(agreement.step)
    name = "vote" if ballot is Ballot.PREVOTE else "vote for good"
    return f"waits for members to {name}; without a quorum the next round begins"
