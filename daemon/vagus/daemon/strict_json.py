"""JSON documents that several people sign: read so that everyone reads the same."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

__all__ = ["faults", "read_json"]


def read_json(data: bytes, most: int) -> Any:
    """Read JSON of at most so many bytes. Raises ValueError, also for a key that is there twice."""
    if len(data) > most:
        raise ValueError(f"has {len(data)} bytes, and at most {most} are read")
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def faults(error: ValueError) -> list[str]:
    """Return what is wrong with a document, one line a fault, each with its place where it has one."""
    if not isinstance(error, ValidationError):
        return [str(error)]
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        place, said = ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {said}" if place else said)
    return lines


def _number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is there twice, two readers may take another value each."""
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return table
