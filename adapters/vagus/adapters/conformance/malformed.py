"""Answers broken so that nothing can be believed of them, the same ones in every run.

A mutation never yields a plausible other answer, such as another hash or another number: that would
be a lie, from which a chain may rightly halt. What it yields can't be decoded, or says nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["malformed"]

# In the place of any value: text that is none of a chain's hashes, numbers or addresses …
_TEXTS: tuple[str, ...] = (
    "",
    "zz",
    "\x00",
    "\U0001f600" * 3,
    "-0x1",
    "0x" + "f" * 2_000,
    "9" * 400,
)
# … and in the place of one of another type.
_OTHERS: tuple[Any, ...] = (True, 1.5, -1, 10**40, [], [[]], [None], {}, {"": {}})


def malformed(body: bytes, source: random.Random) -> bytes:
    """Return an answer's bytes broken in one way that `source` draws."""
    return source.choice(_WAYS)(body, source)


def _cut(body: bytes, source: random.Random) -> bytes:
    return body[: source.randrange(len(body))] if body else b"{"


def _insert(body: bytes, source: random.Random) -> bytes:
    """Put bytes that JSON takes nowhere into the answer."""
    at = source.randint(0, len(body))
    return body[:at] + source.choice((b"\x00", b"\x1f", b"\xff", b"\xc0\xaf")) + body[at:]


def _wrap(body: bytes, source: random.Random) -> bytes:
    return source.choice((b"[%s]", b"%s%s", b"%s trailing", b'"%s"')).replace(b"%s", body)


def _deep(_: bytes, source: random.Random) -> bytes:
    depth = source.choice((200, 100_000))
    return b'{"id":1,"result":' + source.choice((b"[", b'{"a":')) * depth


def _replace(body: bytes, source: random.Random) -> bytes:
    """Take one value out of the answer's result, or put what it can't be in its place."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return _cut(body, source)
    if not isinstance(answer, dict) or "result" not in answer:
        return _cut(body, source)
    holder, key = answer, "result"
    while isinstance(holder[key], dict | list) and holder[key] and source.random() < 0.8:
        holder = holder[key]
        key = source.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if isinstance(holder, dict) and source.random() < 0.2:
        del holder[key]
    else:
        others = [value for value in _OTHERS if type(value) is not type(holder[key])]
        holder[key] = source.choice([*others, *_TEXTS])
    return json.dumps(answer).encode()


# Values are what decoders look at most.
_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_cut, _insert, _wrap, _deep),
    *(_replace, _replace, _replace, _replace),
)
