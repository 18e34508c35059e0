"""Agents by their id: the entry point group `vagus.agents`, and the operator's configs for them.

The entry point is named as the agent is, or `name.v2` where one distribution has several majors.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from vagus.agents.base import Agent
from vagus.compute import Plugin
from vagus.compute.plugins import found, load, report
from vagus.protocol import Refuse, agent_id

__all__ = ["AgentRegistry", "agent_class", "installed_agents"]

GROUP = "vagus.agents"


def installed_agents() -> tuple[Plugin, ...]:
    """Return every installed agent with its id as detail, broken ones with the reason."""
    return report(GROUP, lambda entry: _id_of(load(entry, Agent)))  # type: ignore[type-abstract]  # a subclass is loaded


def agent_class(name: str) -> type[Agent]:
    """Return the class of `name@major`, imported now. Raises Refuse for unknown and broken ones."""
    entries = [e for e in found(GROUP) if e.name.split(".")[0] == name.split("@", maxsplit=1)[0]]
    classes = [load(entry, Agent) for entry in entries]  # type: ignore[type-abstract]  # a subclass is loaded
    fitting = [cls for cls in classes if _id_of(cls) == name]
    if len(fitting) != 1:
        raise Refuse(f"agent {name} is installed {len(fitting)} times, it must be once")
    return fitting[0]


class AgentRegistry:
    """The agents an operator serves; each is imported when it is first asked for.

    configs: `name@major` to the agent's config table.
    """

    def __init__(self, configs: Mapping[str, Mapping[str, object]]) -> None:
        self._configs = dict(configs)
        self._names = {agent_id(name): name for name in self._configs}
        self._agents: dict[str, Agent] = {}

    @property
    def enabled(self) -> tuple[str, ...]:
        """The ids served, as configured."""
        return tuple(self._configs)

    def by_id(self, wanted: bytes) -> Agent:
        """Return the agent of an intent's agentId. Raises Refuse."""
        if wanted not in self._names:
            raise Refuse(f"no agent 0x{wanted.hex()} is served here")
        return self.get(self._names[wanted])

    def get(self, name: str) -> Agent:
        """Return the agent `name@major`. Raises Refuse for one not served, broken or misconfigured."""
        if name not in self._configs:
            raise Refuse(f"agent {name} is not served here")
        if name not in self._agents:
            self._agents[name] = self._make(name)
        return self._agents[name]

    def _make(self, name: str) -> Agent:
        cls = agent_class(name)
        try:
            return cls(cls.Config.model_validate(dict(self._configs[name])))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Refuse(f"the config of agent {name} is wrong: {where}: {first['msg']}") from None


def _id_of(cls: type[Agent]) -> str:
    try:
        return f"{cls.name}@{cls.version.split('.')[0]}"
    except AttributeError as error:
        raise Refuse(f"{cls.__name__} is no whole agent: {error}") from None
