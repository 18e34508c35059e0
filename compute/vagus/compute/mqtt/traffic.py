"""What goes through a connection, and how it is counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Message", "Traffic"]


class Message(NamedTuple):
    """One message as it came. No part of it is to be trusted.

    reply_to is MQTT 5's response topic, about its correlation data; empty where there is none.
    """

    topic: str
    payload: bytes
    reply_to: str = ""
    about: bytes = b""


@dataclass(slots=True)
class Traffic:
    """What went through since the beginning; `dropped` is by reason.

    What the broker refused of what was sent counts as dropped too; reconnects are attempts.
    """

    sent: int = 0
    received: int = 0
    reconnects: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
