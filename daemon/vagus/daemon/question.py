"""An intent's question as its agent reads it: opened and decoded once, for as long as it is worked on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from vagus.daemon.sealed import unquoted

if TYPE_CHECKING:
    from vagus.agents import Agent
    from vagus.daemon.journal.records import IntentRecord

__all__ = ["Question"]


class Question:
    """What an intent asks of an agent; `payload` is open, so that nothing of it is shown.

    It is kept no longer than a node works on the intent, and never written down.
    """

    def __init__(self, record: IntentRecord, agent: Agent, payload: bytes) -> None:
        self.record = record
        self.agent = agent
        self.payload = payload

    @cached_property
    def value(self) -> Any:
        """The payload, decoded. Raises Refuse where the agent does not understand it."""
        with unquoted(self.record):
            return self.agent.decode(self.payload)
