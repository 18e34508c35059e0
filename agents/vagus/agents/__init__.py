"""Agents: plugins that turn a payload into an output. `vagus.agents.base` is their contract."""

from typing import TYPE_CHECKING, Any

from vagus.agents import evidence
from vagus.agents.base import Agent
from vagus.agents.context import Budget, Call, Context, Route
from vagus.agents.evidence import Evidence
from vagus.agents.manifest import AgentConfig, FeeConfig, Manifest, Mode
from vagus.agents.policy import Policy, admit, routes_for, screen
from vagus.agents.registry import AgentRegistry, Installed, agent_class, installed_agents
from vagus.agents.run import execute
from vagus.agents.structured import ask_json, ask_model

if TYPE_CHECKING:
    from vagus.agents.langchain import ChatVagus

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentRegistry",
    "Budget",
    "Call",
    "ChatVagus",
    "Context",
    "Evidence",
    "FeeConfig",
    "Installed",
    "Manifest",
    "Mode",
    "Policy",
    "Route",
    "admit",
    "agent_class",
    "ask_json",
    "ask_model",
    "evidence",
    "execute",
    "installed_agents",
    "routes_for",
    "screen",
]


def __getattr__(name: str) -> Any:
    """Import LangChain with the first mention of ChatVagus: it takes a second, few agents use it."""
    if name == "ChatVagus":
        from vagus.agents.langchain import ChatVagus  # noqa: PLC0415 - see above

        return ChatVagus
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
