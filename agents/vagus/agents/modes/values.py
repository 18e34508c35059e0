"""Outputs as values: what a mode compares, by the form that the agent's class declares.

an output model     RFC 8785 JSON, whose fields JSON Pointers (RFC 6901) name
str                 UTF-8 text, one value
bytes               words of an ABI where it is 32 bytes or a multiple: int256 each
"""

import decimal
import re
from enum import Enum
from typing import Any

from vagus.agents.codec import parse_json, schema_of
from vagus.agents.manifest import Manifest
from vagus.protocol import Json, Refuse, canonical

__all__ = ["Form", "Pointer", "decimal_of", "form_of", "read_output", "read_words", "shown"]

WORD = 32
_DECIMAL = re.compile(r"-?[0-9]{1,80}(\.[0-9]{1,80})?")
_POINTER = re.compile(r"(/([^/~]|~[01])*)+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,4}")


class Form(Enum):
    """What an agent's outputs are."""

    JSON = "JSON"
    TEXT = "text"
    BYTES = "bytes"


def form_of(manifest: Manifest) -> Form:
    """Return the form of an agent's outputs."""
    if manifest.output_schema == schema_of(bytes):
        return Form.BYTES
    return Form.TEXT if manifest.output_schema == schema_of(str) else Form.JSON


def read_output(output: bytes) -> object:
    """Return the value of a JSON output; Refuse for bytes that are not its RFC 8785 form."""
    value = parse_json(output, "the output")
    try:
        if canonical(value) == output:  # type: ignore[arg-type]  # parsed from JSON
            return value
    except ValueError:
        pass  # it has no such form, which is what is said below
    raise Refuse("the output is not in RFC 8785 form")


def read_words(output: bytes) -> list[int]:
    """Return the int256 words of an ABI; Refuse for bytes that are none."""
    if not output or len(output) % WORD:
        raise Refuse(f"the output has {len(output)} bytes, which are no words of an ABI")
    return [
        int.from_bytes(output[at : at + WORD], "big", signed=True)
        for at in range(0, len(output), WORD)
    ]


def decimal_of(value: object) -> decimal.Decimal:
    """Return a number, or a text of decimal digits, as it is written; Refuse for all else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return decimal.Decimal(repr(value))
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return decimal.Decimal(value)
    raise Refuse("a field that is compared as a number is none")


def shown(output: bytes, form: Form) -> Json:
    """Return an output as a part of a JSON document: its value, its text, or 0x and hex digits."""
    if form is Form.BYTES:
        return "0x" + output.hex()
    if form is Form.TEXT:
        try:
            return output.decode()
        except UnicodeDecodeError:
            raise Refuse("the output is not UTF-8") from None
    return read_output(output)  # type: ignore[return-value]  # parsed from JSON


class Pointer:
    """A JSON Pointer (RFC 6901) below the root, as `/a/0/b`. Raises ValueError for none."""

    def __init__(self, text: str) -> None:
        if not _POINTER.fullmatch(text):
            raise ValueError('a field is named by a JSON Pointer, such as "/price"')
        self.text = text
        self.path = tuple(
            part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")
        )

    def holds(self, other: "Pointer") -> bool:
        """Whether the other one is this, or within it."""
        return other.path[: len(self.path)] == self.path

    def get(self, value: object) -> object:
        """Return what it points to; Refuse where there is nothing."""
        holder, key = self._find(value)
        return holder[key]

    def set(self, value: object, item: object) -> None:
        """Put something else there."""
        holder, key = self._find(value)
        holder[key] = item

    def _find(self, value: object) -> tuple[Any, Any]:
        holder: Any = None
        key: Any = None
        for part in self.path:
            holder, key = value, part
            if isinstance(holder, list) and _INDEX.fullmatch(part) and int(part) < len(holder):
                key = int(part)
            elif not isinstance(holder, dict) or part not in holder:
                raise Refuse(f"the output has no field {self.text}")
            value = holder[key]
        return holder, key
