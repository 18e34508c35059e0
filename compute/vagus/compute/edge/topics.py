"""The MQTT topics of the edge; a node and a worker are named by their addresses, in lower-case hex.

    vagus-edge/1/<worker>/offer                    what the worker has, to all
    vagus-edge/1/<worker>/ask/<node>               what a node wants of it
    vagus-edge/1/<worker>/reply/<node>/<session>   what it answers, to where the node listens

A broker's ACL can hold each to topics of its own. The session is 16 random hex digits.
"""

from __future__ import annotations

import re

__all__ = [
    "ask",
    "asks",
    "is_reply",
    "node_of",
    "offer",
    "replies",
    "reply",
    "worker_of",
]

_PREFIX = "vagus-edge/1"
_WORKER, _NODE = 2, 4
_SESSION = re.compile(r"[0-9a-f]{16}")


def offer(worker: bytes) -> str:
    """Return where a worker says what it has."""
    return f"{_PREFIX}/{worker.hex()}/offer"


def ask(worker: bytes, node: bytes) -> str:
    """Return where a node asks a worker."""
    return f"{_PREFIX}/{worker.hex()}/ask/{node.hex()}"


def asks(worker: bytes) -> str:
    """Return the filter for what all nodes ask a worker."""
    return f"{_PREFIX}/{worker.hex()}/ask/+"


def reply(worker: bytes, node: bytes, session: str) -> str:
    """Return where a worker answers a node's session."""
    return f"{_PREFIX}/{worker.hex()}/reply/{node.hex()}/{session}"


def replies(node: bytes, session: str) -> str:
    """Return the filter for what all workers answer a node's session."""
    return f"{_PREFIX}/+/reply/{node.hex()}/{session}"


def is_reply(topic: str, worker: bytes, node: bytes) -> bool:
    """Whether a topic is one on which this worker answers this node."""
    start, _, session = topic.rpartition("/")
    return start == reply(worker, node, "")[:-1] and _SESSION.fullmatch(session) is not None


def worker_of(topic: str) -> str:
    """Return the part that names the worker, empty where there is none."""
    return _level(topic, _WORKER)


def node_of(topic: str) -> str:
    """Return the part that names the node, empty where there is none."""
    return _level(topic, _NODE)


def _level(topic: str, number: int) -> str:
    levels = topic.split("/", number + 1)
    return levels[number] if len(levels) > number else ""
