"""The agent `stance@1` for vagus."""

from vagus_stance.agent import StanceAgent

__all__ = ["StanceAgent"]
