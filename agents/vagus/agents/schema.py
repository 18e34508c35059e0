"""JSON schemas from strangers: a small part of JSON Schema, bounded so that every answer ends.

    type          one of the seven, or a list of several
    object        properties, required, additionalProperties: false (which is also the default)
    array         items (required), minItems, maxItems
    string        minLength, maxLength, in code points
    integer       minimum, maximum
    number        minimum, maximum
    enum, const   of strings, numbers, true, false and null
    title, description

They mean what JSON Schema 2020-12 says. Everything else is refused by name, `$ref` and `pattern`
above all: one makes a schema endless, the other makes the reader's time the writer's choice.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from vagus.compute.bounds import MAX_DEPTH, depth, one_line
from vagus.protocol import Refuse

__all__ = ["EXACT", "bounded", "types_of"]

MAX_NODES = 256
MAX_NAME = 64
# What a schema may ask for at most, and what it gets where it says nothing.
MAX_LENGTH, LENGTH = 1024, 256
MAX_ITEMS, ITEMS = 64, 16
# The integers that every JSON reader agrees on (RFC 7493).
EXACT = (1 << 53) - 1

# The keywords of each type; those that every schema may have are apart.
_KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set[str](),
    "null": set[str](),
}
_COMMON = {"type", "enum", "const", "title", "description"}


def bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stranger's schema with every bound written out; the root must be an object.

    Raises Refuse, naming the place, for what is not supported, contradicts itself or is too large.
    """
    if depth(schema) > MAX_DEPTH:
        raise Refuse(f"the schema is nested over {MAX_DEPTH} levels")
    if schema.get("type") != "object":
        raise Refuse('the schema is not understood: its type must be "object"')
    node = _node(schema, "schema")
    if sum(1 for _ in _nodes(node)) > MAX_NODES:
        raise Refuse(f"the schema has over {MAX_NODES} parts")
    return node


def types_of(schema: Mapping[str, Any], where: str) -> set[str]:
    """Return the types that a schema names, none where it names none; Refuse at `where`."""
    if "type" not in schema:
        return set()
    names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if (
        not isinstance(names, list)
        or not names
        or any(not isinstance(name, str) or name not in _KEYWORDS for name in names)
        or len(set(names)) != len(names)
    ):
        _wrong(where, f"type is one or several of {', '.join(_KEYWORDS)}")
    return set(names)


def _node(schema: object, where: str) -> dict[str, Any]:
    """Check one subschema and those in it, and write its bounds out."""
    if not isinstance(schema, Mapping):
        _wrong(where, "a schema must be an object")
    kinds = types_of(schema, where)
    known = _COMMON.union(*(_KEYWORDS[kind] for kind in kinds))
    if unknown := [key for key in schema if key not in known]:
        _wrong(where, f"{unknown[0]} is not supported here")
    if any(not isinstance(schema.get(key, ""), str) for key in ("title", "description")):
        _wrong(where, "title and description must be texts")
    if not kinds and not schema.keys() & {"enum", "const"}:
        _wrong(where, "it needs a type, an enum or a const")
    _check_values(schema, where)
    node = dict(schema)
    if "object" in kinds:
        node |= _object(schema, where)
    if "array" in kinds:
        if "items" not in schema:
            _wrong(where, "an array needs items")
        node |= _counts(schema, where, "Items", ITEMS, MAX_ITEMS)
        node["items"] = _node(schema["items"], f"{where}.items")
    if "string" in kinds:
        node |= _counts(schema, where, "Length", LENGTH, MAX_LENGTH)
    if kinds & {"integer", "number"}:
        node |= _range(schema, where, whole="integer" in kinds)
    return node


def _object(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping):
        _wrong(where, "properties must be an object")
    if any(not 0 < len(name) <= MAX_NAME for name in properties):
        _wrong(where, f"a property's name has 1 to {MAX_NAME} characters")
    if not isinstance(required, list) or any(name not in list(properties) for name in required):
        _wrong(where, "required must be a list of names that properties has")
    if len(set(required)) != len(required):
        _wrong(where, "required names a property twice")
    if schema.get("additionalProperties", False) is not False:
        _wrong(where, "additionalProperties can only be false")
    nodes = {name: _node(each, f"{where}.{name}") for name, each in properties.items()}
    return {"properties": nodes, "required": required, "additionalProperties": False}


def _counts(
    schema: Mapping[str, Any], where: str, what: str, usual: int, limit: int
) -> dict[str, int]:
    """Return how long a string or an array is at least and at most."""
    least = schema.get(f"min{what}", 0)
    most = schema.get(f"max{what}", usual if least == 0 else limit)
    for value in (least, most):
        if not (_is_integer(value) and 0 <= value <= limit):
            _wrong(where, f"min{what} and max{what} must be integers from 0 to {limit}")
    if least > most:
        _wrong(where, f"min{what} is over max{what}")
    return {f"min{what}": least, f"max{what}": most}


def _range(schema: Mapping[str, Any], where: str, *, whole: bool) -> dict[str, Any]:
    """Return what a number is at least and at most; one that may be a fraction need not say."""
    found = {"minimum": -EXACT, "maximum": EXACT} if whole else {}
    found |= {key: schema[key] for key in ("minimum", "maximum") if key in schema}
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > EXACT:
            _wrong(where, f"{key} must be a number within 2^53 - 1")
        if whole and not _is_integer(value):
            _wrong(where, f"{key} of an integer must be an integer")
    if len(found) == 2 and found["minimum"] > found["maximum"]:
        _wrong(where, "minimum is over maximum")
    return found


def _check_values(schema: Mapping[str, Any], where: str) -> None:
    values = schema.get("enum", [None])
    if not isinstance(values, list) or not values:
        _wrong(where, "enum must be a list of values")
    for value in (*values, schema.get("const")):
        if isinstance(value, Mapping | list):
            _wrong(where, "enum and const can only have texts, numbers, true, false and null")
        if isinstance(value, int) and abs(value) > EXACT:
            _wrong(where, "an integer is over 2^53 - 1")


def _nodes(node: Mapping[str, Any]) -> Iterator[object]:
    """Every subschema and every value of an enum."""
    yield node
    yield from node.get("enum", ())
    for each in node.get("properties", {}).values():
        yield from _nodes(each)
    if isinstance(node.get("items"), Mapping):
        yield from _nodes(node["items"])


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(where: str, why: str) -> NoReturn:
    raise Refuse(one_line(f"{why}, at {where}"))
