"""Payload bytes in, output bytes out: what strangers send and what a committee signs.

A payload is read strictly, since two readers that disagree about it would disagree about the
answer: UTF-8, no doubled keys, no NaN, no half surrogate pairs, at most 32 levels.
"""

import json
import math
from typing import Any, NoReturn

from pydantic import BaseModel, TypeAdapter, ValidationError

from vagus.compute.bounds import MAX_DEPTH, depth, one_line
from vagus.protocol import MAX_OUTPUT, MAX_PAYLOAD, Refuse, canonical

__all__ = ["decode_payload", "encode_output", "schema_of"]


def decode_payload(kind: type[BaseModel] | type[bytes], payload: bytes) -> BaseModel | bytes:
    """Read a payload as `kind`; Refuse with one line that says what is wrong, and no more."""
    if len(payload) > MAX_PAYLOAD:
        raise Refuse(f"the payload has {len(payload)} bytes, at most {MAX_PAYLOAD} are allowed")
    if not issubclass(kind, BaseModel):
        return payload
    check_json(payload)
    try:
        return kind.model_validate_json(payload, strict=True, extra="forbid")
    except ValidationError as error:
        raise Refuse(f"the payload is not understood: {_first(error)}") from None


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


def check_json(payload: bytes) -> None:
    """Refuse bytes that two JSON readers could read in two ways, or that nest over 32 levels."""
    try:
        value = json.loads(
            payload.decode("utf-8", "strict"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
        if b"\\u" in payload:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Refuse("the payload is not UTF-8") from None
    except UnicodeEncodeError:
        raise Refuse("the payload holds half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise Refuse(f"the payload is nested over {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise Refuse(f"the payload is not JSON: {one_line(str(error))}") from None
    if depth(value) > MAX_DEPTH:
        raise Refuse(f"the payload is nested over {MAX_DEPTH} levels")


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


def _first(error: ValidationError) -> str:
    """Say what is wrong first; never the value, which a stranger wrote."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return one_line(f"{where or 'payload'}: {first['msg']}")
