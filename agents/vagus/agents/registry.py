"""Agents by their id: the entry point group `vagus.agents`, and the operator's configs for them.

The entry point is named as the agent is, or `name.v2` where one distribution has several majors.
"""

import contextlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from pydantic import BaseModel, PydanticUserError, ValidationError

from vagus.agents.base import Agent
from vagus.agents.codec import first_fault, schema_of
from vagus.agents.manifest import AgentConfig, Manifest, Mode
from vagus.agents.modes import mode_of
from vagus.compute.bounds import one_line
from vagus.compute.plugins import found, load
from vagus.protocol import Refuse, agent_id

__all__ = ["AgentRegistry", "Installed", "agent_class", "installed_agents"]

GROUP = "vagus.agents"
# What an agent's class has besides `run`: values of a type, or subclasses of it.
_PARTS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "version": (str,),
    "Input": (BaseModel, bytes),
    "Output": (BaseModel, str, bytes),
    "Config": (AgentConfig,),
    "mode": (Mode,),
    "asks": (bool,),
}


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed agent; a broken one has no id, version and mode, but an `error` that says why."""

    entry: str
    distribution: str
    id: str | None = None
    version: str | None = None
    mode: str | None = None
    error: str | None = None


def installed_agents() -> tuple[Installed, ...]:
    """Import every installed agent, and say of each what it is, or why it can't be served."""
    return tuple(_describe(entry) for entry in found(GROUP))


def agent_class(name: str) -> type[Agent]:
    """Return the class of `name@major`, imported now. Raises Refuse for unknown and broken ones.

    A broken entry point beside it, of another major or another distribution, is passed over.
    """
    fitting, reasons = [], []
    for entry in found(GROUP):
        if _name_of(entry) == name.split("@", maxsplit=1)[0]:
            try:
                cls = _load(entry)
            except Refuse as error:
                reasons.append(error.reason)
            else:
                fitting += [cls] if _id_of(cls) == name else []
    if not fitting and reasons:
        raise Refuse(reasons[0])
    if not fitting:
        raise Refuse(f"agent {name} is not installed: `vagus agents list` shows what is")
    if len(fitting) > 1:
        raise Refuse(f"agent {name} is installed {len(fitting)} times: uninstall all but one")
    return fitting[0]


class AgentRegistry:
    """The agents an operator serves; each is imported when it is first asked for.

    configs: `name@major` to the agent's config table. Raises Refuse for a name that is none.
    """

    def __init__(self, configs: Mapping[str, Mapping[str, object]]) -> None:
        self._configs = dict(configs)
        try:
            self._names = {agent_id(name): name for name in self._configs}
        except ValueError as error:
            raise Refuse(f"{error}: `vagus agents list` shows what is installed") from None
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
            with contextlib.redirect_stdout(sys.stderr):
                return cls(cls.Config.model_validate(dict(self._configs[name])))
        except ValidationError as error:
            fault = first_fault(error, "it")
            raise Refuse(f"the config of agent {name} is wrong: {fault}") from None
        except BaseException as error:
            # A plugin's own constructor: what it raises must not stop the intents of others.
            if type(error) is KeyboardInterrupt:
                raise
            raise Refuse(f"agent {name} can't be made: {type(error).__name__}") from error


def _describe(entry: EntryPoint) -> Installed:
    distribution = "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    try:
        cls = _load(entry)
        if _name_of(entry) != cls.name:
            raise Refuse(f"entry point {entry.name} leads to agent {cls.name}: name it {cls.name}")
        agent_class(_id_of(cls))
    except Refuse as error:
        return Installed(entry.name, distribution, error=error.reason)
    return Installed(entry.name, distribution, _id_of(cls), cls.version, cls.mode.name)


def _load(entry: EntryPoint) -> type[Agent]:
    """Import an entry point's class, which must be a whole agent. Raises Refuse."""
    cls = load(entry, Agent)  # type: ignore[type-abstract]  # a subclass is loaded
    absent = [name for name in _PARTS if not hasattr(cls, name)]
    absent += ["run"] if inspect.isabstract(cls) else []
    wrong = [
        name for name, kinds in _PARTS.items() if name not in absent and not _is(cls, name, kinds)
    ]
    if absent or wrong:
        why = ", ".join(
            [f"{each} is missing" for each in absent]
            + [f"{each} is of a wrong type" for each in wrong]
        )
        raise Refuse(f"plugin {entry.name} ({entry.value}) is no whole agent: {why}")
    mode_of(_manifest(cls))
    return cls


def _manifest(cls: type[Agent]) -> Manifest:
    """Return what an agent promises whatever its config is: enough for its mode to be read."""
    try:
        schemas = {"input_schema": schema_of(cls.Input), "output_schema": schema_of(cls.Output)}
    except PydanticUserError as error:
        raise Refuse(f"agent {cls.name} has no schema: {one_line(str(error))}") from None
    return Manifest(
        name=cls.name, version=cls.version, mode=cls.mode, config=AgentConfig(), **schemas
    )


def _is(cls: type[Agent], name: str, kinds: tuple[type, ...]) -> bool:
    value = getattr(cls, name)
    return issubclass(value, kinds) if isinstance(value, type) else isinstance(value, kinds)


def _name_of(entry: EntryPoint) -> str:
    return entry.name.split(".")[0]


def _id_of(cls: type[Agent]) -> str:
    return f"{cls.name}@{cls.version.split('.')[0]}"
