"""Strangers' schemas: what is understood, what is refused, and which values they allow."""

import json
from pathlib import Path
from typing import Any

import pytest

from vagus.agents.schema import bounded
from vagus.agents.validate import check_value
from vagus.protocol import Refuse

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "schemas.json").read_text())
ONE = {"a": {"type": "string"}}


def allows(schema: dict[str, Any], value: object) -> bool:
    try:
        check_value(value, schema)
    except Refuse:
        return False
    return True


def test_values_are_allowed_where_the_jsonschema_library_allows_them() -> None:
    assert len(VECTORS["vectors"]) == 600
    others = [
        (schema, value)
        for schema, value, allowed in VECTORS["vectors"]
        if allows(bounded(schema), value) is not allowed
    ]
    assert others == []


def test_a_schema_with_all_its_bounds_stays_as_it_is() -> None:
    assert [s for s, _, _ in VECTORS["vectors"] if bounded(s) != s] == []


def test_bounds_are_written_where_a_stranger_gave_none() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "long": {"type": "string", "minLength": 300},
            "list": {"type": "array", "items": {"type": ["integer", "null"]}},
            "real": {"type": "number"},
            "flag": {"type": "boolean"},
        },
    }
    assert bounded(schema) == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 0, "maxLength": 256},
            "long": {"type": "string", "minLength": 300, "maxLength": 1024},
            "list": {
                "type": "array",
                "minItems": 0,
                "maxItems": 16,
                "items": {
                    "type": ["integer", "null"],
                    "minimum": -9007199254740991,
                    "maximum": 9007199254740991,
                },
            },
            "real": {"type": "number"},
            "flag": {"type": "boolean"},
        },
        "required": [],
        "additionalProperties": False,
    }
    assert bounded(bounded(schema)) == bounded(schema)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return {"type": "object", "properties": {"a": schema}}


REFUSED: dict[str, tuple[Any, str]] = {
    "no type": ({}, 'its type must be "object"'),
    "a list at the root": ({"type": "array", "items": {"type": "null"}}, "must be"),
    "a list of types at the root": ({"type": ["object"]}, "must be"),
    "no such type": ({"a": {"type": "text"}}, "type is one or several"),
    "no types": ({"a": {"type": []}}, "type is one or several"),
    "a type twice": ({"a": {"type": ["null", "null"]}}, "type is one or several"),
    "a type that is a number": ({"a": {"type": 7}}, "type is one or several"),
    "types that are lists": ({"a": {"type": [["null"]]}}, "type is one or several"),
    "neither type nor values": ({"a": {"title": "x"}}, "needs a type"),
    "true": ({"a": True}, "must be an object"),
    "a text": ({"a": "string"}, "must be an object"),
    "null": ({"a": None}, "must be an object"),
    "a reference": ({"a": {"$ref": "#"}}, r"\$ref is not supported"),
    "a remote reference": ({"a": {"$ref": "http://a.b/"}}, r"\$ref is not supported"),
    "definitions": ({"a": {"type": "null", "$defs": {}}}, r"\$defs is not supported"),
    "an id": ({"a": {"type": "null", "$id": "file:///etc/passwd"}}, r"\$id is not supported"),
    "a pattern": ({"a": {"type": "string", "pattern": "(a+)+$"}}, "pattern is not supported"),
    "a format": ({"a": {"type": "string", "format": "regex"}}, "format is not supported"),
    "alternatives": ({"a": {"anyOf": [{"type": "null"}]}}, "anyOf is not supported"),
    "a negation": ({"a": {"type": "null", "not": {}}}, "not is not supported"),
    "a key of another type": ({"a": {"type": "null", "maxLength": 1}}, "maxLength is not"),
    "a python key": ({"a": {"type": "null", "__class__": 1}}, "__class__ is not supported"),
    "a title that is a list": ({"a": {"type": "null", "title": []}}, "must be texts"),
    "an enum of lists": ({"a": {"enum": [[]]}}, "enum and const can only have"),
    "an enum of objects": ({"a": {"enum": [{"lc": 1}]}}, "enum and const can only have"),
    "an empty enum": ({"a": {"enum": []}}, "list of values"),
    "an enum that is a text": ({"a": {"enum": "abc"}}, "list of values"),
    "a const that is an object": ({"a": {"const": {}}}, "enum and const can only have"),
    "a large integer as const": ({"a": {"const": 1 << 53}}, "over 2.53"),
    "a large integer in an enum": ({"a": {"enum": [-(1 << 53)]}}, "over 2.53"),
    "a list without items": ({"a": {"type": "array"}}, "needs items"),
    "items that are a list": ({"a": {"type": "array", "items": []}}, "must be an object"),
    "a long list": ({"a": {"type": "array", "items": ONE["a"], "maxItems": 65}}, "0 to 64"),
    "a long text": ({"a": {"type": "string", "maxLength": 1025}}, "0 to 1024"),
    "a length below zero": ({"a": {"type": "string", "minLength": -1}}, "0 to 1024"),
    "a length of true": ({"a": {"type": "string", "maxLength": True}}, "0 to 1024"),
    "a length of 1.5": ({"a": {"type": "string", "maxLength": 1.5}}, "0 to 1024"),
    "lengths that cross": (
        {"a": {"type": "string", "minLength": 3, "maxLength": 2}},
        "minLength is over",
    ),
    "a range that crosses": (
        {"a": {"type": "number", "minimum": 1, "maximum": 0}},
        "minimum is over",
    ),
    "a minimum of half": ({"a": {"type": "integer", "minimum": 0.5}}, "must be an integer"),
    "a minimum of true": ({"a": {"type": "number", "minimum": True}}, "must be a number"),
    "a minimum as text": ({"a": {"type": "number", "minimum": "0"}}, "must be a number"),
    "a minimum of 2^60": ({"a": {"type": "integer", "minimum": 1 << 60}}, "2.53"),
    "a nameless property": ({"": {"type": "null"}}, "1 to 64 characters"),
    "a long name": ({"a" * 65: {"type": "null"}}, "1 to 64 characters"),
    "other properties": (
        {"a": {"type": "object", "additionalProperties": True}},
        "can only be false",
    ),
    "properties as a list": ({"a": {"type": "object", "properties": []}}, "must be an object"),
    "required as a text": ({"a": {"type": "object", "required": "a"}}, "must be a list"),
    "required that is unknown": ({"a": {"type": "object", "required": ["a"]}}, "must be a list"),
    "required that is a list": ({"a": {"type": "object", "required": [[]]}}, "must be a list"),
    "required twice": (
        {"a": {"type": "object", "properties": ONE, "required": ["a", "a"]}},
        "twice",
    ),
    "too many parts": ({str(n): {"type": "null"} for n in range(256)}, "over 256 parts"),
    "too many values": ({"a": {"enum": list(range(256))}}, "over 256 parts"),
    "33 levels": (nested(31)["properties"], "over 32 levels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_in_words(name: str) -> None:
    properties, why = REFUSED[name]
    at_root = not name.endswith(" at the root") and name != "no type"
    schema = {"type": "object", "properties": properties} if at_root else properties
    with pytest.raises(Refuse, match=why) as caught:
        bounded(schema)
    assert caught.value.reason.isprintable()


def test_a_schema_of_32_levels_is_understood() -> None:
    assert bounded(nested(29))


def test_a_reason_names_the_place_and_not_what_is_there() -> None:
    with pytest.raises(Refuse) as caught:
        check_value({"a": ["secret"]}, bounded(nested(1)))
    assert caught.value.reason == (
        "the model's answer breaks the schema: it is of another type, at answer.a.0"
    )


def test_an_integer_that_readers_disagree_about_is_refused() -> None:
    schema = bounded({"type": "object", "properties": {"a": {"type": "number"}}})
    check_value({"a": 2**53 - 1}, schema)
    with pytest.raises(Refuse, match=r"over 2\^53"):
        check_value({"a": 2**53}, schema)
