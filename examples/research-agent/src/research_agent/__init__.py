"""The agent `research@1` for vagus."""

from research_agent.agent import Research

__all__ = ["Research"]
