"""Text of strangers on a terminal: a plugin's, a model's, a server's and a chain's words alike."""

from __future__ import annotations

import json

__all__ = ["printable"]


def printable(text: str) -> str:
    """Escape every character that is not shown as itself: ends of lines, a terminal's controls.

    The escapes are JSON's: JSON on one line stays the same JSON.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
