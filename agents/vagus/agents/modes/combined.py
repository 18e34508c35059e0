"""Outcomes that are made of several members' results: fields with a median, collect and jury.

The outcome is a pure function of what members revealed and of who leads, evidence and all: each
member that heard the same makes the same, and compares. The evidence is the leader's own of its
run, of the combined output, with each member's result by its hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from vagus.agents.document import Document, MemberResult, read_evidence
from vagus.protocol import Intent, Refuse, keccak256

if TYPE_CHECKING:
    from vagus.agents.modes.base import CheckContext, Result, Verifier

__all__ = ["check_combined", "combined"]


def combined(
    verifier: Verifier, intent: Intent, results: Mapping[bytes, Result], leader: bytes
) -> Result:
    """Return what a leader (20-byte signer) proposes, whose own result is among the results.

    Each result has passed `check_result` with its member as executor. Raises Refuse where they
    allow no output.
    """
    if leader not in results:
        raise Refuse("the leader's own result is not among those that it combines")
    output = verifier.combine(intent, results)
    document = msgspec.structs.replace(
        read_evidence(results[leader].evidence),
        output_hash=_hex(keccak256(output)),
        results=tuple(
            MemberResult(
                signer=_hex(member),
                output_hash=_hex(keccak256(results[member].output)),
                model_digest=_hex(results[member].model_digest),
                evidence_hash=_hex(keccak256(results[member].evidence)),
            )
            for member in sorted(results)
        ),
    )
    return type(results[leader])(
        output=output,
        agent_digest=results[leader].agent_digest,
        model_digest=document.models(),
        evidence=document.encode(),
    )


def check_combined(
    verifier: Verifier, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
) -> None:
    """Refuse a proposal that is not what the revealed results make, this node's unchanged."""
    if own is not None and ctx.revealed.get(ctx.member, own) != own:
        raise Refuse("what stands for this node's result is another")
    leader = bytes.fromhex(document.executor[2:])
    if leader not in ctx.revealed:
        raise Refuse("the leader's own result is not among those that it combines")
    if combined(verifier, ctx.intent, ctx.revealed, leader) != proposed:
        raise Refuse("the proposal is not what the members' results make")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
