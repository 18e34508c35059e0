"""Agents: plugins that turn a payload into an output. `vagus.agents.base` is their contract."""

from vagus.agents import evidence
from vagus.agents.base import Agent
from vagus.agents.context import Budget, Call, Context, Route
from vagus.agents.evidence import Evidence
from vagus.agents.manifest import AgentConfig, FeeConfig, Manifest, Mode
from vagus.agents.policy import Policy, admit, routes_for
from vagus.agents.registry import AgentRegistry, agent_class, installed_agents
from vagus.agents.run import execute

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentRegistry",
    "Budget",
    "Call",
    "Context",
    "Evidence",
    "FeeConfig",
    "Manifest",
    "Mode",
    "Policy",
    "Route",
    "admit",
    "agent_class",
    "evidence",
    "execute",
    "installed_agents",
    "routes_for",
]
