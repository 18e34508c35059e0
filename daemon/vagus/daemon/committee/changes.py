"""What a proposal changes, in words: who approves it reads these, and signs what they say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vagus.daemon.committee.rotation import Proposal
    from vagus.daemon.member import Member
    from vagus.daemon.roster import Roster
    from vagus.protocol import SignerSet

__all__ = ["bound", "cautions", "date", "differences", "set_changes"]


def bound(members: int, threshold: int) -> str:
    """Say how many liars and how many absent members a set stands."""
    liars = min(2 * threshold - members - 1, members - threshold)
    away = members - threshold
    if members == 1:
        return "1 of 1: who has that key has the hub"
    lies = "no liar" if liars == 0 else f"{liars} liar{'s' * (liars > 1)}"
    gone = "nobody away" if away == 0 else f"{away} member{'s' * (away > 1)} away"
    return f"{threshold} of {members}: stands {lies}, and, if nobody lies, {gone}"


def cautions(proposal: Proposal) -> Iterator[str]:
    """Say what hubs take and operators may not want: who is paid nowhere, and that nobody may be away."""
    members, threshold = proposal.roster.members, proposal.threshold
    if len(members) > 1 and threshold == len(members):
        least = len(members) // 2 + 1
        other = (
            "" if least == threshold else f"; --threshold {least} stands {threshold - least} away"
        )
        yield f"all {threshold} sign each answer: nobody may be away, else none comes{other}"
    for change in proposal.hubs:
        chain = change.hub.rpartition(":")[0]
        for member in members:
            if chain not in member.addresses:
                yield (
                    f"{change.hub}: {member.signer} has no address on {chain}: nothing that it signs for "
                    "who asks there can be settled, and delivering there pays it no gas; have its operator "
                    "add the chain and print its entry again (vagus committee member)"
                )


def date(seconds: int) -> str:
    """Write a time of a chain for people."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def set_changes(current: SignerSet, proposal: Proposal) -> Iterator[str]:
    """Say who comes to a hub's set and who leaves it, and what becomes of the threshold."""
    new = proposal.roster.signers
    for signer in sorted(set(new) - set(current.signers)):
        yield f"+ signer 0x{signer.hex()}"
    for signer in sorted(set(current.signers) - set(new)):
        yield f"- signer 0x{signer.hex()}"
    if (current.threshold, len(current.signers)) != (proposal.threshold, len(new)):
        before = f"{current.threshold} of {len(current.signers)}"
        yield f"~ threshold {before} -> {proposal.threshold} of {len(new)}"


def differences(old: Roster, new: Roster) -> Iterator[str]:
    """Say where one roster differs from another: every key of it that any of the two has."""
    if old.name != new.name:
        yield f"~ name {old.name} -> {new.name}: another network, which none of the old talks to"
    yield from _members(
        {each.signer: each for each in old.members}, {each.signer: each for each in new.members}
    )
    for name, before, after in _both(old.agents, new.agents):
        if before is None or after is None:
            version = "" if (there := before or after) is None else there.version
            yield f"{'+' if before is None else '-'} agent {name} {version}"
            continue
        if before.version != after.version:
            yield f"~ agent {name} version {before.version} -> {after.version}"
        for key, was, now in _both(before.config, after.config):
            yield f"~ agent {name} {key} {_shown(was)} -> {_shown(now)}"
    for what in ("gas_allowance", "rates"):
        for chain, was, now in _both(getattr(old, what), getattr(new, what)):
            yield f"~ {what} {chain} {_shown(was)} -> {_shown(now)}"
    if old.before != new.before:
        yield f"~ it follows roster {_shown(new.before)}"


def _members(old: Mapping[str, Member], new: Mapping[str, Member]) -> Iterator[str]:
    for signer, before, after in _both(old, new):
        if after is None:
            yield f"- member {signer}"
            continue
        if before is None:
            yield f"+ member {signer}"
        for key in ("transport", "x25519", "url"):
            was, now = getattr(before, key, None), getattr(after, key)
            if was != now:
                yield f"~ {signer} {key} {_shown(was)} -> {_shown(now)}"
        for chain, home, new_home in _both(before.addresses if before else {}, after.addresses):
            yield f"~ {signer} is paid on {chain} at {_shown(home)} -> {_shown(new_home)}"


def _both(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Return what two tables have under each key, where that differs; None where one has nothing."""
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was != now:
            yield key, was, now


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
