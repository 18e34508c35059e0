"""The agent `iris@1` for vagus."""

from vagus_iris.agent import IrisAgent

__all__ = ["IrisAgent"]
