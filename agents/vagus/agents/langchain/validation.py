"""What a model wrote as JSON, read and held to its schema: the engine's grammar is only a hope.

The words are the part of JSON Schema 2020-12 in `CHECKS`, and those that hold schemas themselves:
properties, required, additionalProperties, items, prefixItems, anyOf, oneOf.
"""

import functools
import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from vagus.agents.codec import parse_json
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["ARGUMENTS", "CHECKS", "Schema", "is_number", "read_json", "violation"]

Schema = dict[str, Any]
Check = Callable[[Any, Any], bool]

# A server may send more than it was asked for.
MAX_ANSWER = 64 << 10


def read_json(text: str) -> object:
    """Return the JSON value that a model wrote: no doubled keys, at most 32 levels. Raises Refuse."""
    if len(text) > MAX_ANSWER:
        raise Refuse(f"the model's answer is over {MAX_ANSWER} characters")
    # Half of a surrogate pair becomes bytes that are no UTF-8, which is what it is refused for.
    return parse_json(text.encode("utf-8", "surrogatepass"), "the model's answer")


def violation(value: Any, schema: Schema, where: str = "$") -> str | None:
    """Return how a value breaks a schema that `schemas.plain` returned, or None.

    The value is not quoted: a model wrote it.
    """
    if "anyOf" in schema and all(violation(value, each) for each in schema["anyOf"]):
        return f"{where} is none of the allowed kinds"
    if "oneOf" in schema and sum(violation(value, each) is None for each in schema["oneOf"]) != 1:
        return f"{where} is not exactly one of the allowed kinds"
    for word, holds in CHECKS.items():
        if word in schema and not holds(value, schema[word]):
            return f"{where} breaks {word}"
    if isinstance(value, dict):
        return _object_violation(value, schema, where)
    if isinstance(value, list):
        first, rest = schema.get("prefixItems", []), schema.get("items", {})
        for index, item in enumerate(value):
            inner = first[index] if index < len(first) else rest
            if found := violation(item, inner, f"{where}[{index}]"):
                return found
    return None


def _object_violation(value: dict[str, Any], schema: Schema, where: str) -> str | None:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where}.{one_line(name)} is missing"
    for name, item in value.items():
        here = f"{where}.{one_line(name)}"
        if name in properties:
            found = violation(item, properties[name], here)
        elif isinstance(others, bool):
            found = None if others else f"{here} is not asked for"
        else:
            found = violation(item, others, here)
        if found:
            return found
    return None


def is_number(value: object) -> bool:
    """Say whether a value is a JSON number: finite, and not true or false."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: 1 is 1.0, but not true."""
    if is_number(one) and is_number(other):
        return one == other
    return _text(one) == _text(other)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@functools.lru_cache(maxsize=256)
def _pattern(pattern: str) -> SchemaValidator:
    # Rust's regex, which can't be made to backtrack: strangers write patterns.
    return SchemaValidator(core_schema.str_schema(pattern=pattern))


def _compiles(pattern: object) -> bool:
    try:
        return isinstance(pattern, str) and bool(_pattern(pattern))
    except SchemaError:
        return False


def _matches(text: str, pattern: str) -> bool:
    try:
        _pattern(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


def _on(applies: Callable[[Any], bool], holds: Check) -> Check:
    """Ignore values of other types, as JSON Schema's words do."""
    return lambda value, argument: not applies(value) or holds(value, argument)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _one_or_more(kinds: object) -> list[Any]:
    return kinds if isinstance(kinds, list) else [kinds]


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


TYPES: dict[str, Callable[[Any], bool]] = {
    "string": _is(str),
    "boolean": _is(bool),
    "null": _is(type(None)),
    "object": _is(dict),
    "array": _is(list),
    "number": is_number,
    "integer": lambda value: is_number(value) and value == int(value),
}
# A word, and whether a value holds to its argument.
CHECKS: dict[str, Check] = {
    "type": lambda value, kinds: any(TYPES[kind](value) for kind in _one_or_more(kinds)),
    "enum": lambda value, allowed: any(_same(value, each) for each in allowed),
    "const": _same,
    "minLength": _on(_is(str), lambda text, least: len(text) >= least),
    "maxLength": _on(_is(str), lambda text, most: len(text) <= most),
    "pattern": _on(_is(str), _matches),
    "minItems": _on(_is(list), lambda items, least: len(items) >= least),
    "maxItems": _on(_is(list), lambda items, most: len(items) <= most),
    "uniqueItems": _on(
        _is(list), lambda items, wanted: not wanted or len({*map(_text, items)}) == len(items)
    ),
    "minimum": _on(is_number, lambda number, least: number >= least),
    "maximum": _on(is_number, lambda number, most: number <= most),
    "exclusiveMinimum": _on(is_number, lambda number, under: number > under),
    "exclusiveMaximum": _on(is_number, lambda number, over: number < over),
    # As decimal fractions: 0.3 is a multiple of 0.1.
    "multipleOf": _on(
        is_number, lambda number, step: Fraction(repr(number)) % Fraction(repr(step)) == 0
    ),
}
# A word, and whether it may have this argument.
ARGUMENTS: dict[str, Callable[[Any], bool]] = {
    "type": lambda kinds: (
        bool(kinds) and all(isinstance(k, str) and k in TYPES for k in _one_or_more(kinds))
    ),
    "description": _is(str),
    "required": lambda names: isinstance(names, list) and all(isinstance(n, str) for n in names),
    "enum": lambda values: isinstance(values, list) and bool(values),
    "const": lambda value: True,
    "pattern": _compiles,
    "uniqueItems": _is(bool),
    "multipleOf": lambda step: is_number(step) and step > 0,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), is_number),
}
