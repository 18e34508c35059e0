"""Payload bytes in, output bytes out: what strangers send and what a committee signs.

JSON is read strictly, since two readers that disagree about it would disagree about the answer:
UTF-8, no doubled keys, no NaN, no half surrogate pairs, at most 32 levels.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from pydantic import BaseModel, TypeAdapter, ValidationError

from vagus.compute.bounds import MAX_DEPTH, one_line
from vagus.protocol import MAX_OUTPUT, MAX_PAYLOAD, Refuse, canonical

__all__ = ["decode_payload", "encode_output", "first_fault", "parse_json", "schema_of"]

# A string, with or without its end, or a bracket outside of one.
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def decode_payload(kind: type[BaseModel] | type[bytes], payload: bytes) -> BaseModel | bytes:
    """Read a payload as `kind`; Refuse with one line that says what is wrong, and no more."""
    if len(payload) > MAX_PAYLOAD:
        raise Refuse(f"the payload has {len(payload)} bytes, at most {MAX_PAYLOAD} are allowed")
    if not issubclass(kind, BaseModel):
        return payload
    parse_json(payload, "the payload")
    try:
        return kind.model_validate_json(payload, strict=True, extra="forbid")
    except ValidationError as error:
        raise Refuse(f"the payload is not understood: {first_fault(error, 'payload')}") from None


def encode_output(kind: type[BaseModel] | type[str] | type[bytes], output: object) -> bytes:
    """Return the output's bytes; Refuse over 8,192 bytes, or where it is not a `kind`."""
    if not isinstance(output, kind):
        raise Refuse(f"the agent answered a {type(output).__name__}, not a {kind.__name__}")
    try:
        if isinstance(output, BaseModel):
            data = canonical(output.model_dump(mode="json"))
        else:
            data = output.encode() if isinstance(output, str) else bytes(output)
    except ValueError as error:
        raise Refuse(f"the output has no bytes: {error}") from None
    if len(data) > MAX_OUTPUT:
        raise Refuse(f"the output has {len(data)} bytes, at most {MAX_OUTPUT} are allowed")
    return data


def schema_of(kind: type[BaseModel] | type[str] | type[bytes]) -> dict[str, Any]:
    """Return the JSON schema of a payload or an output."""
    if issubclass(kind, bytes):
        return {"type": "string", "contentMediaType": "application/octet-stream"}
    return TypeAdapter(kind).json_schema()


def parse_json(
    data: bytes, what: str, *, fraction: Callable[[str], object] | None = None
) -> object:
    """Return the JSON value of a stranger's bytes; `what` names them in the Refuse.

    Refused are bytes that two readers could read in two ways, and over 32 levels. fraction: what a
    number becomes that has a point or an exponent, a float where it is absent; it may raise
    ValueError.
    """
    try:
        text = data.decode("utf-8", "strict")
        if _levels(text) > MAX_DEPTH:
            raise Refuse(f"{what} is nested over {MAX_DEPTH} levels")
        value: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=fraction or _float,
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Refuse(f"{what} is not UTF-8") from None
    except UnicodeEncodeError:
        raise Refuse(f"{what} holds half of a surrogate pair, which is no text") from None
    except ValueError as error:
        raise Refuse(f"{what} is not JSON: {one_line(str(error))}") from None
    return value


def first_fault(error: ValidationError, whole: str) -> str:
    """Say what is wrong first; never the value, which a stranger wrote."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return one_line(f"{where or whole}: {first['msg'].removeprefix('Value error, ')}")


def _levels(text: str) -> int:
    """Return how deep brackets nest outside of strings; stops counting one past `MAX_DEPTH`.

    Counted before anything is parsed: how deep a parser can go is not for a stranger to try.
    """
    level = deepest = 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            level += 1
            deepest = max(deepest, level)
            if deepest > MAX_DEPTH:
                break
        elif found[0] in "]}":
            level -= 1
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
