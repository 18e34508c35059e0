"""Bounds on what is sent to an engine: strangers' text and schemas reach it through agents.

A schema some thousand levels deep crashes llama.cpp, so depth and size end here.
"""

from collections.abc import Iterable, Sequence

import rfc8785

from vagus.protocol import Refuse

__all__ = [
    "MAX_DEPTH",
    "MAX_PROMPT",
    "TEMPLATE_TOKENS",
    "check_messages",
    "check_range",
    "check_schema",
    "depth",
    "one_line",
    "prompt_tokens_bound",
]

MAX_PROMPT = 1 << 20
MAX_SCHEMA = 16 << 10
MAX_DEPTH = 32
MAX_MESSAGES = 256
# What a chat template may add to a prompt.
TEMPLATE_TOKENS = 1024


def check_messages(contents: Sequence[str], stop: Sequence[str]) -> None:
    """Refuse no messages, too many, too long, or text that UTF-8 can't carry (lone surrogates)."""
    check_range("the number of messages", len(contents), 1, MAX_MESSAGES)
    check_range("the number of stop texts", len(stop), 0, 4)
    try:
        size = sum(len(text.encode()) for text in (*contents, *stop))
    except UnicodeEncodeError as error:
        raise Refuse("a message holds half of a surrogate pair, which is no text") from error
    check_range("the messages' length in bytes", size, 0, MAX_PROMPT)


def prompt_tokens_bound(contents: Iterable[str]) -> int:
    """Return the most tokens a prompt can have: a token is at least a byte, plus the template."""
    return sum(len(text.encode()) for text in contents) + TEMPLATE_TOKENS


def check_range(what: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside low to high; NaN is outside."""
    if not low <= value <= high:
        raise Refuse(f"{what} must be {low} to {high}, not {value}")


def check_schema(schema: object) -> None:
    """Refuse a JSON schema that is not an object, or over 32 levels, or over 16 KiB."""
    if not isinstance(schema, dict):
        raise Refuse("a JSON schema must be an object: true and false are enforced by no engine")
    if depth(schema) > MAX_DEPTH:
        raise Refuse(f"the JSON schema is nested over {MAX_DEPTH} levels")
    try:
        size = len(rfc8785.dumps(schema))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise Refuse(f"the JSON schema is no JSON: {error}") from error
    check_range("the JSON schema's length in bytes", size, 2, MAX_SCHEMA)


def depth(value: object) -> int:
    """Return how deep containers nest: 0 for a scalar; stops counting one past `MAX_DEPTH`."""
    level = [value]
    for count in range(MAX_DEPTH + 1):
        containers = [item for item in level if isinstance(item, dict | list | tuple)]
        if not containers:
            return count
        level = [
            child
            for item in containers
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return MAX_DEPTH + 1


def one_line(text: str) -> str:
    """Return a stranger's text fit for a log: printable ASCII, at most 200 characters."""
    return text.encode("unicode_escape").decode()[:200]
