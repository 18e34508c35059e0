"""What is wrong with a committee as one of its nodes shows it, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["NOT_IN_ROSTER", "troubles"]

NOT_IN_ROSTER = (
    "it signs nothing that a hub takes: take the roster that names it, or run with a signer that is in "
    "this one (docs/committee.md#joining); who leaves keeps the old roster until all is settled "
    "(docs/committee.md#leaving)"
)
"""What to do where a node's own roster does not name its signer."""

# How far a member's clock may be off, in seconds, and how many final blocks it may be behind this
# node's, before people are told: heartbeats come each 5 s, and are from before they were sent.
_CLOCK = 10
_LAG = 30
# With so few transactions left to pay for, a member's account is said to need coins.
_RUNWAY = 20
_DROPS = {
    "forged": "somebody sends under a member's name without its transport key: see the broker's ACL",
    "stale": "a member speaks by a roster that does not count here: compare vagus committee show",
    "stranger": "somebody who is in no roster writes to this network: see the broker's ACL",
    "other message signed": "a member signs something else than this node: compare versions, rosters",
    "defect": "this node failed on an envelope: see its log",
}


def troubles(view: dict[str, Any], chains: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong, of what /v1/committee and /v1/chains of one node say; nothing if all is well."""
    if not view["in_roster"]:
        yield f"this node's signer {view['signer']} is not in its roster: {NOT_IN_ROSTER}"
    if view["waits"]:
        yield view["waits"]
    for chain in chains:
        if chain["committee"] and (lacking := chain["committee"]["lacking"]):
            yield f"{chain['hub']}: {lacking}; nothing is decided or signed until more come back"
    for each in view["transports"]:
        if not each["connected"]:
            yield f"{each['name']} is away: is it running, and does its log name this node?"
        if dropped := sum(each["dropped"].values()):
            yield f"{each['name']} dropped {dropped} envelopes: somebody sends too much, or it is slow"
    for reason, words in _DROPS.items():
        if count := view["lately"].get(reason, 0):
            yield f"{count} envelopes {reason} in the last ten minutes: {words}"
    versions = {each["version"] for each in view["members"] if each["version"]}
    for member in view["members"]:
        yield from _of_member(member, versions)


def _of_member(member: dict[str, Any], versions: set[str]) -> Iterator[str]:
    name = member["signer"]
    if member["heard"] is None:
        yield f"{name} was never heard of: is its node up, on this roster and broker?"
        return
    if not member["present"]:
        yield f"{name} was last heard of {member['heard']:.0f} s ago: ask its operator"
        return
    clock = member["clock"]
    if clock is not None and abs(clock) > _CLOCK:
        way = "ahead" if clock > 0 else "behind"
        yield f"{name}'s clock is {abs(clock)} s {way} of this node's: one of the two is wrong"
    for chain, lag in member["lag"].items():
        if lag > _LAG:
            yield f"{name} is {lag} final blocks behind on {chain}: its endpoints are slow or stale"
    for chain, left in member["runway"].items():
        if left < _RUNWAY:
            yield f"{name} can pay for {left} more transactions on {chain}: its account needs coins"
    if len(versions) > 1:
        yield f"{name} runs vagus {member['version']}: not all members run the same"
