"""Approving a proposal: one rotation for each epoch of a hub, and the signatures only after that is kept.

Were a member to approve two proposals for one epoch, a quorum could have both, and which of them a hub
gets would be up to who sends it: hubs would part. What was approved is a file in the node's data folder,
and another proposal is approved once that one can no longer be sent.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import msgspec

from vagus.adapters.signers import Guarded, SignedTable
from vagus.daemon.committee.applying import Standing, standing
from vagus.daemon.committee.changes import date
from vagus.daemon.committee.rotation import Approval
from vagus.protocol import Refuse, hub_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vagus.adapters.base import HubState
    from vagus.adapters.signers import Signer
    from vagus.daemon.committee.rotation import HubChange, Proposal

__all__ = ["ROTATIONS", "approve", "hubs_to_sign"]

ROTATIONS = "rotations"
"""The folder, in a node's data folder, that has which proposals its signer approved."""


class _Kept(msgspec.Struct, frozen=True):
    proposal: str
    until: int


def hubs_to_sign(
    proposal: Proposal, signer: bytes, states: Mapping[str, HubState | str]
) -> dict[str, str]:
    """Return the hubs on which this member's approval counts, each with how it stands there.

    Raises Refuse where a hub's own state does not bear the proposal: signed is only what was seen.
    """
    found = {}
    for change in proposal.hubs:
        state = states.get(change.hub)
        if state is None:
            raise Refuse(
                f"{change.hub} is no hub of this config, so nothing of it can be checked: add its chain"
            )
        if isinstance(state, str):
            raise Refuse(f"{change.hub} cannot be read: {state}")
        where, words = standing(proposal, change.hub, state)
        if where in {Standing.PASSED, Standing.LATE, Standing.BEHIND}:
            raise Refuse(f"{change.hub}: {words}")
        if where is not Standing.IN_FORCE and signer in state.current.signers:
            found[change.hub] = words
    if not found:
        raise Refuse(
            f"0x{signer.hex()} signs on none of its hubs now: their current members approve it"
        )
    return found


async def approve(
    proposal: Proposal, hubs: Mapping[str, str], signer: Signer, kept: Path
) -> Approval:
    """Sign a proposal's rotations for these hubs; `kept` is the folder that says so first.

    Raises Refuse where another proposal for the same epoch of a hub was approved and can still be
    sent, OSError, and what the signer raises.
    """
    for hub in hubs:
        _keep(proposal, proposal.change(hub), kept)
    # The table is of answers and receipts: it stays closed, since the node may have it open.
    guarded = Guarded(signer, SignedTable(kept), [hub_id(hub) for hub in hubs])
    signatures = {}
    for hub in hubs:
        signature = await guarded.sign(proposal.rotation(hub), hub_id(hub))
        signatures[hub] = f"0x{signature.hex()}"
    approval = Approval(
        proposal=f"0x{proposal.id.hex()}",
        signer=f"0x{signer.address.hex()}",
        signatures=signatures,
    )
    approval.require(proposal)
    return approval


def _keep(proposal: Proposal, change: HubChange, folder: Path) -> None:
    """Make durable, before anything is signed, which proposal has this hub's epoch."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{hub_id(change.hub).hex()}-{change.epoch}.json"
    own = _Kept(f"0x{proposal.id.hex()}", change.until)
    try:
        before = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        before = own
    except msgspec.MsgspecError:
        raise Refuse(f"{path} is damaged: find out what was approved, then remove it") from None
    if before.proposal != own.proposal and before.until >= change.valid_from:
        raise Refuse(
            f"{change.hub}: this member has approved proposal {before.proposal} for epoch "
            f"{change.epoch}, which can be sent until {date(before.until)}: with both approved, hubs "
            f"could part. Apply that one, propose from then on, or, if nobody has it, remove {path}"
        )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            file.write(msgspec.json.encode(own))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    finally:
        draft.unlink(missing_ok=True)
