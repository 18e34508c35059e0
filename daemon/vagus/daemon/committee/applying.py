"""Bringing a proposal onto its hubs: each by itself, and as often as it takes.

Nothing is journalled here. Whether a hub has a rotation is what its state says at finality, and it takes
one once: whoever is killed in between runs it again, and what is there already is left alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vagus.adapters.base import AlreadyDone, Rejected
from vagus.daemon.client import first_heads, send
from vagus.daemon.committee.changes import date
from vagus.daemon.committee.rotation import signatures_of
from vagus.protocol import Refuse, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vagus.adapters.base import ChainAdapter, HubState
    from vagus.daemon.committee.rotation import Approval, Proposal

__all__ = ["Applied", "Standing", "apply", "read_states", "standing"]

# How often what fails on a hub is tried again, how long all of it may take, and how often a person who
# waits is told: the last two in seconds.
_TRIES = 5
_PATIENCE = 3600.0
_TELL = 10.0


class Standing(StrEnum):
    """Where a hub stands to a proposal, by its state at finality."""

    IN_FORCE = "in force"
    OPEN = "open"
    EARLY = "early"
    LATE = "late"
    BEHIND = "behind"
    PASSED = "passed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a proposal on a hub; `words` say why it is not in force, `tx_id` what was sent."""

    hub: str
    standing: Standing
    words: str = ""
    tx_id: str | None = None


def standing(proposal: Proposal, hub: str, state: HubState) -> tuple[Standing, str]:
    """Compare a hub's state with what a proposal wants of it, and say what follows."""
    change, current = proposal.change(hub), state.current
    wanted = (change.epoch, proposal.roster.signers, proposal.threshold)
    if (current.epoch, current.signers, current.threshold) == wanted:
        if state.roster_hash == proposal.roster.digest():
            return Standing.IN_FORCE, f"since {date(state.rotated_at)}"
        return Standing.PASSED, "this set came with another roster: propose again"
    if current.epoch >= change.epoch:
        return Standing.PASSED, f"another set has epoch {current.epoch}: propose again"
    if current.epoch + 1 < change.epoch:
        lag = change.epoch - 1 - current.epoch
        come = "1 rotation comes" if lag == 1 else f"{lag} rotations come"
        return Standing.BEHIND, f"{come} before: apply their proposals first"
    if state.at.time < change.valid_from:
        return Standing.EARLY, f"it takes this from {date(change.valid_from)} on"
    if state.at.time > change.until:
        return Standing.LATE, f"it took this until {date(change.until)}: propose again"
    return Standing.OPEN, f"it takes this until {date(change.until)}"


async def read_states(adapters: Sequence[ChainAdapter]) -> dict[str, HubState | str]:
    """Read all hubs at once: by hub (CAIP-10) its state at finality, or why it cannot be read."""

    async def read(adapter: ChainAdapter) -> HubState | str:
        try:
            async with adapter:
                await first_heads(adapter)
                return await adapter.hub_state()
        except VagusError as error:
            return error.reason if isinstance(error, Retry) else str(error)

    async with asyncio.TaskGroup() as group:
        tasks = {
            each.hub: group.create_task(read(each), name=f"read {each.chain}") for each in adapters
        }
    return {hub: task.result() for hub, task in tasks.items()}


async def apply(
    proposal: Proposal,
    approvals: Sequence[Approval],
    adapters: Sequence[ChainAdapter],
    say: Callable[[str], None],
) -> list[Applied]:
    """Send the rotation to every hub of the proposal that has not got it, and wait until it is final.

    Hubs are apart: one that does not answer, or wants something else, keeps no other from it. The
    answer has each hub of the proposal once. Raises Refuse for an approval that is none of it.
    """
    for approval in approvals:
        approval.require(proposal)
    served = {each.hub: each for each in adapters}
    absent = "no chain of this config has it: apply it from a config that does"
    async with asyncio.TaskGroup() as group:
        tasks = {
            each.hub: group.create_task(
                _apply(proposal, approvals, served[each.hub], say), name=f"apply {each.hub}"
            )
            for each in proposal.hubs
            if each.hub in served
        }
        while waiting := {task for task in tasks.values() if not task.done()}:
            await asyncio.wait(waiting, timeout=_TELL, return_when=asyncio.FIRST_COMPLETED)
            if still := [hub for hub, task in tasks.items() if not task.done()]:
                say(f"waiting for {', '.join(still)}")
    return [
        tasks[each.hub].result()
        if each.hub in tasks
        else Applied(each.hub, Standing.UNKNOWN, absent)
        for each in proposal.hubs
    ]


async def _apply(
    proposal: Proposal,
    approvals: Sequence[Approval],
    adapter: ChainAdapter,
    say: Callable[[str], None],
) -> Applied:
    try:
        async with asyncio.timeout(_PATIENCE), adapter:
            await first_heads(adapter)
            return await _bring(proposal, approvals, adapter, say)
    except TimeoutError:
        words = f"not final within {_PATIENCE / 60:g} minutes: run it again, and look at its chain"
    except VagusError as error:
        words = error.reason if isinstance(error, Retry) else str(error)
    return Applied(adapter.hub, Standing.UNKNOWN, words)


async def _bring(
    proposal: Proposal,
    approvals: Sequence[Approval],
    adapter: ChainAdapter,
    say: Callable[[str], None],
) -> Applied:
    """Look where the hub stands, send what it lacks, and look again: until it lacks nothing."""
    hub, tx_id, tried = adapter.hub, None, 0
    while True:
        heads = adapter.heads
        state = await adapter.hub_state()
        where, words = standing(proposal, hub, state)
        if where is not Standing.OPEN:
            return Applied(hub, where, words, tx_id)
        try:
            signatures = signatures_of(proposal, hub, state.current, approvals)
        except Refuse as error:
            return Applied(hub, where, error.reason, tx_id)
        rotation = proposal.rotation(hub)
        call = adapter.rotate_call(rotation, proposal.roster.signers, signatures)
        say(f"{hub}: sending epoch {rotation.epoch}, in force once it is final")
        try:
            tx_id = await send(adapter, call, final=True)
        except AlreadyDone:
            # Somebody else's, or of an earlier run: it is included, and not final yet.
            await adapter.next_heads(heads)
        except Rejected as error:
            return Applied(hub, where, f"the hub rejects it: {error.reason}", tx_id)
        except (Retry, Refuse) as error:
            # Nothing was sent, or it ended without effect: what the hub says next decides.
            tried += 1
            if tried == _TRIES:
                return Applied(hub, where, error.reason, tx_id)
            after = error.after if isinstance(error, Retry) else 1.0
            say(f"{hub}: {error.reason}; again in {after:g} s")
            await asyncio.sleep(after)
