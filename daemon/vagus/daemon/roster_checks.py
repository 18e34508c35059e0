"""Where a node is not the member that its roster says: other agents, another transport key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.protocol import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vagus.agents import AgentRegistry
    from vagus.daemon.roster import Roster

__all__ = ["agent_faults"]

_POLICY = "[policy] agents says which of them this operator takes"


def agent_faults(roster: Roster, registry: AgentRegistry) -> Iterator[str]:
    """Say where the node's agents are not the roster's; nothing where the roster names none.

    Members whose agents differ come to other agentDigests, and so to no agreement. An agent that cannot
    be made here is no fault: its intents are refused.
    """
    if not roster.agents:
        return
    for name in sorted(roster.agents.keys() - set(registry.enabled)):
        yield (
            f'agents."{name}": the roster has it and this node does not: add [agents."{name}"]; '
            f"{_POLICY}"
        )
    for name in registry.enabled:
        where = f'agents."{name}"'
        if name not in roster.agents:
            yield f"{where}: the roster does not have it: remove it here, or have the roster changed"
            continue
        try:
            manifest = registry.get(name).manifest
        except Refuse:
            continue
        entry = roster.agents[name]
        if manifest.version != entry.version:
            yield (
                f"{where}: version {manifest.version} is installed, and the roster has {entry.version}: "
                "install that one, or have the roster changed"
            )
        elif manifest.digest != roster.agent_digest(name):
            own = manifest.config.model_dump(mode="json")
            keys = sorted(
                key
                for key in own.keys() | entry.config.keys()
                if key not in own or key not in entry.config or own[key] != entry.config[key]
            )
            yield (
                f"{where}: {', '.join(keys) or 'its config'} differs from the roster's: set what the "
                "roster has, `vagus committee show`"
            )
