"""JSON from strangers: decoded into a type, or a Retry that says why not."""

import re
import sys
from typing import TypeVar

import msgspec

from vagus.compute.bounds import one_line
from vagus.protocol import Retry

__all__ = ["decode"]

T = TypeVar("T")

# Python's own limit. msgspec counts by what the limit is now, and libraries raise it (py_ecc, which
# eth_keyfile brings, to 100,000): JSON that is nested as deep then ends the process.
MAX_NESTING = 1000
# A string, closed or not, or a bracket.
_PARTS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, what: str) -> T:
    """Return what JSON says. Raises Retry, which begins with `what`."""
    try:
        if sys.getrecursionlimit() > MAX_NESTING:
            _check_nesting(bytes(data))
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        why = str(error)
    except UnicodeDecodeError:
        why = "not UTF-8"
    except RecursionError:
        why = "nested too deep"
    raise Retry(f"{what}: {one_line(why)}")


def _check_nesting(data: bytes) -> None:
    """Raise RecursionError for what is nested deeper than any answer is."""
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return
    level = 0
    for part in _PARTS.finditer(data):
        match data[part.start()]:
            case 0x5B | 0x7B:
                level += 1
                if level > MAX_NESTING:
                    raise RecursionError
            case 0x5D | 0x7D:
                level -= 1
