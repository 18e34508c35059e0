"""JSON schemas of tools and answers: what strangers may ask a model to fill in, and how much of it.

A schema may hold the words that `validation` enforces, and annotations, which are dropped; any
other word is refused, since nobody would hold the model to it. References (`#/$defs/…`) are filled
in, so a schema that contains itself is refused too.
"""

import json
from collections.abc import Mapping
from typing import Any

from vagus.agents.langchain.validation import ARGUMENTS, Schema, is_number
from vagus.compute.bounds import MAX_DEPTH, MAX_SCHEMA, depth, one_line
from vagus.protocol import Refuse

__all__ = ["narrowed", "plain"]

# Engines keep numbers as doubles, and so does RFC 8785.
MAX_SAFE = (1 << 53) - 1
MAX_ITEMS = 8
MIN_CHARS = 16

ANNOTATIONS = frozenset(
    {"$comment", "$id", "$schema", "contentEncoding", "contentMediaType", "default", "deprecated"}
    | {"discriminator", "examples", "format", "readOnly", "title", "writeOnly"}
)
DEFINITIONS = frozenset({"$defs", "definitions"})


def plain(schema: object) -> Schema:
    """Return a schema without references and annotations, its descriptions kept. Raises Refuse.

    At most 16 KiB and 32 levels deep, before and after its references are filled in. An object
    that has properties and says nothing of others takes no others.
    """
    if not isinstance(schema, dict):
        raise Refuse("a JSON schema must be an object")
    _check_bounds(schema)
    found = _Reader(schema).read(schema, "$", 0)
    _check_bounds(found)
    return found


def narrowed(schema: Schema, chars: int) -> Schema:
    """Return a plain schema as engines get it: every text and list bounded, descriptions left out.

    `chars` is the length of the JSON: its strings share what names and marks leave of it, so that
    a model that rambles still ends. Patterns and numbers past 2^53 are left out too: engines
    enforce them badly or fail; `violation` has them.
    """
    room = chars - _marks(schema)
    return _narrow(schema, max(MIN_CHARS, room // max(1, _strings(schema))))


class _Reader:
    """Checks each word of a schema, and fills its references in."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._size = 0

    def read(self, node: object, where: str, level: int) -> Schema:
        if node is True:
            return {}
        if not isinstance(node, dict):
            raise Refuse(f"the JSON schema's {where} is no schema")
        if level > MAX_DEPTH:
            raise Refuse(f"the JSON schema is nested over {MAX_DEPTH} levels, or contains itself")
        found: Schema = {}
        for word, value in node.items():
            # Counted on the way: references that double thirty times would fill the memory.
            self._size += len(word) + 4
            if self._size > MAX_SCHEMA:
                raise Refuse(f"the JSON schema is over {MAX_SCHEMA} bytes with its references")
            for name, argument in self._word(word, value, where, level).items():
                if name != "description" and found.get(name, argument) != argument:
                    raise Refuse(f"the JSON schema's {where} says {name} twice")
                found[name] = argument
        if "properties" in found:
            found.setdefault("additionalProperties", False)
        return found

    def _word(self, word: str, value: Any, where: str, level: int) -> Schema:
        here = f"{where}.{one_line(word)}"
        if word in ANNOTATIONS or (word in DEFINITIONS and level == 0):
            return {}
        if word == "$ref":
            return self.read(self._target(value), here, level + 1)
        if word == "allOf" and isinstance(value, list) and len(value) == 1:
            return self.read(value[0], here, level + 1)
        if word == "properties" and isinstance(value, dict):
            named = {k: self.read(v, f"{here}.{one_line(k)}", level + 1) for k, v in value.items()}
            return {word: named}
        if word in {"anyOf", "oneOf", "prefixItems"} and isinstance(value, list) and value:
            return {word: [self.read(each, here, level + 1) for each in value]}
        if word == "additionalProperties" and isinstance(value, bool):
            return {word: value}
        if word in {"items", "additionalProperties"}:
            return {word: self.read(value, here, level + 1)}
        if word not in ARGUMENTS:
            raise Refuse(f"the JSON schema has {here}, which vagus does not enforce: leave it out")
        if not ARGUMENTS[word](value):
            raise Refuse(f"the JSON schema's {here} can't have this value")
        return {word: value}

    def _target(self, reference: object) -> object:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise Refuse("the JSON schema refers to something outside of itself")
        node: object = self._root
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise Refuse(f"the JSON schema refers to {one_line(reference)}, which it lacks")
            node = node[key]
        return node


def _narrow(schema: Schema, chars: int) -> Schema:
    found: Schema = {}
    for word, value in schema.items():
        if word in {"description", "pattern", "uniqueItems"}:
            continue
        if word == "properties":
            found[word] = {name: _narrow(each, chars) for name, each in value.items()}
        elif word in {"anyOf", "oneOf", "prefixItems"}:
            found[word] = [_narrow(each, chars) for each in value]
        elif word == "items" or (word == "additionalProperties" and isinstance(value, dict)):
            found[word] = _narrow(value, chars)
        elif not is_number(value) or abs(value) <= MAX_SAFE:
            found[word] = value
    kinds = _kinds(schema)
    if "string" in kinds:
        found["maxLength"] = _at_most(found, "minLength", "maxLength", chars)
    if "array" in kinds:
        found["maxItems"] = _at_most(found, "minItems", "maxItems", MAX_ITEMS)
    return found


def _at_most(schema: Schema, least: str, most: str, bound: int) -> int:
    found: int = max(schema.get(least, 0), min(schema.get(most, bound), bound))
    return found


def _strings(schema: Schema) -> int:
    """Count the strings that a value may hold, a list as if it held one item."""
    own = int("string" in _kinds(schema))
    return (
        own + sum(map(_strings, _parts(schema))) + max(map(_strings, _choices(schema)), default=0)
    )


def _marks(schema: Schema) -> int:
    """Estimate the characters of a value beside its strings, indented as models like to."""
    own = 8 + sum(len(name) + 8 for name in schema.get("properties", ()))
    return own + sum(map(_marks, _parts(schema))) + max(map(_marks, _choices(schema)), default=0)


def _parts(schema: Schema) -> list[Schema]:
    found = [*schema.get("properties", {}).values(), *schema.get("prefixItems", ())]
    found += [schema[word] for word in ("items", "additionalProperties") if word in schema]
    return [each for each in found if isinstance(each, dict)]


def _choices(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _kinds(schema: Schema) -> tuple[str, ...]:
    """Return the types that a value may have, none where its values are listed."""
    if "enum" in schema or "const" in schema:
        return ()
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _check_bounds(schema: Schema) -> None:
    if depth(schema) > MAX_DEPTH:
        raise Refuse(f"the JSON schema is nested over {MAX_DEPTH} levels")
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise Refuse(f"the JSON schema is no JSON: {type(error).__name__}") from None
    if size > MAX_SCHEMA:
        raise Refuse(f"the JSON schema is over {MAX_SCHEMA} bytes")
