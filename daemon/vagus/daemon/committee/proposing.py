"""Making a proposal: the roster with its changes, and one rotation for each hub that lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vagus.daemon.committee.rotation import HubChange, Proposal
from vagus.daemon.roster import AgentEntry, Roster
from vagus.daemon.strict_json import faults
from vagus.protocol import QuorumError, Refuse, SignerSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vagus.adapters.base import HubState
    from vagus.agents import AgentRegistry
    from vagus.daemon.member import Member

__all__ = ["OptionError", "changed", "following", "pinned", "propose", "require_profile"]


class OptionError(Refuse):
    """What was asked for by an option is no proposal; the message names what would be one."""

    exit_code = 2


def changed(
    roster: Roster,
    add: Sequence[Member] = (),
    remove: Sequence[str] = (),
    name: str | None = None,
) -> Roster:
    """Return a roster without some members (by signer) and with others, or with others' new entries.

    Raises OptionError for who cannot be removed, and Refuse for what is no roster then.
    """
    members = {each.signer: each for each in roster.members}
    for signer in remove:
        if members.pop(signer.lower(), None) is None:
            raise OptionError(f"--remove {signer} is no member: `vagus committee show` lists them")
    members |= {each.signer: each for each in add}
    return _roster(roster, members=tuple(members.values()), name=name or roster.name)


def pinned(roster: Roster, registry: AgentRegistry) -> Roster:
    """Return a roster that names each agent of a node, with its version and its whole config."""
    agents = {}
    for name in registry.enabled:
        manifest = registry.get(name).manifest
        config = manifest.config.model_dump(mode="json")
        agents[name] = AgentEntry(version=manifest.version, config=config)
    return _roster(roster, agents=agents)


def following(new: Roster, old: Roster) -> Roster:
    """Return a roster that names the one it replaces; as it is where nothing has changed."""
    return new if new == old else _roster(new, before=f"0x{old.digest().hex()}")


def propose(
    roster: Roster,
    threshold: int | None,
    states: Mapping[str, HubState | str],
    *,
    profile: str,
    after: int,
    again: bool = False,
) -> Proposal:
    """Return a proposal for each hub that has another set, threshold or roster.

    Without a threshold it is the hubs' own, which must then be one. `after` are the seconds until hubs
    take it. With `again`, hubs that have it all already are in it too: a rotation to the same set ends
    the one before. Raises OptionError for a threshold that no hub takes, with the least that one does, and
    Refuse for a hub that cannot be read and for what no profile would take.
    """
    known: dict[str, HubState] = {}
    for hub, state in states.items():
        if isinstance(state, str):
            raise Refuse(f"{hub} cannot be read: {state}")
        known[hub] = state
    if threshold is None:
        thresholds = {state.current.threshold for state in known.values()}
        if len(thresholds) > 1:
            raise OptionError(
                f"the hubs have thresholds of {', '.join(map(str, sorted(thresholds)))}: give one by "
                "--threshold"
            )
        (threshold,) = thresholds
    require_profile(profile, threshold)
    _require_majority(roster, threshold)
    wanted = roster.signers, threshold, roster.digest()
    hubs = [
        HubChange(hub=hub, epoch=state.current.epoch + 1, valid_from=state.at.time + after)
        for hub, state in sorted(known.items())
        if again or (state.current.signers, state.current.threshold, state.roster_hash) != wanted
    ]
    if not hubs:
        raise Refuse("every hub has this set, threshold and roster already")
    try:
        return Proposal(roster=roster, threshold=threshold, hubs=tuple(hubs))
    except ValidationError as error:
        raise Refuse("; ".join(faults(error))) from None


def require_profile(profile: str, threshold: int) -> None:
    """Raise Refuse for a threshold that a profile's nodes would not serve."""
    if profile == "mainnet" and threshold < 2:
        raise Refuse(
            "profile mainnet wants a threshold of two or more: who has one key would have the hub"
        )


def _require_majority(roster: Roster, threshold: int) -> None:
    try:
        SignerSet(0, roster.signers, threshold)
    except QuorumError as error:
        least = len(roster.signers) // 2 + 1
        raise OptionError(f"{error}: give --threshold {least}") from None


def _roster(roster: Roster, **changes: Any) -> Roster:
    table = {key: getattr(roster, key) for key in Roster.model_fields}
    try:
        return Roster.model_validate(table | changes)
    except ValidationError as error:
        raise Refuse("; ".join(faults(error))) from None
