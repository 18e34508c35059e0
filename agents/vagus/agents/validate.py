"""Checking a model's JSON against a stranger's schema, as JSON Schema 2020-12 has it."""

from collections.abc import Mapping
from typing import Any, NoReturn

from vagus.agents.schema import EXACT, types_of
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["check_value"]


def check_value(value: object, schema: Mapping[str, Any], where: str = "answer") -> None:
    """Refuse a JSON value that breaks a schema which `bounded` has returned.

    Also refused are integers over 2^53 - 1, which JSON readers disagree about.
    """
    if "type" in schema and not types_of(schema, where) & _kinds_of(value):
        _broken(where, "it is of another type")
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        _broken(where, "it is none of the enum's values")
    if "const" in schema and not _same(value, schema["const"]):
        _broken(where, "it is not the const")
    match value:
        case dict():
            _check_object(value, schema, where)
        case list():
            _check_size(len(value), "Items", schema, where)
            for at, item in enumerate(value):
                check_value(item, schema["items"], f"{where}.{at}")
        case str():
            _check_size(len(value), "Length", schema, where)
        case int() | float() if not isinstance(value, bool):
            if isinstance(value, int) and abs(value) > EXACT:
                _broken(where, "an integer is over 2^53 - 1")
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                _broken(where, "it is out of range")


def _check_object(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            _broken(f"{where}.{name}", "it is missing")
    for name, item in value.items():
        if name not in properties:
            _broken(f"{where}.{name}", "the schema has no such property")
        check_value(item, properties[name], f"{where}.{name}")


def _check_size(size: int, what: str, schema: Mapping[str, Any], where: str) -> None:
    if not schema.get(f"min{what}", 0) <= size <= schema.get(f"max{what}", size):
        _broken(where, f"it breaks min{what} or max{what}")


def _kinds_of(value: object) -> set[str]:
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"integer", "number"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
        case _:
            return {"object"}


def _same(one: object, other: object) -> bool:
    """Whether two scalars are the same JSON value: 1 is 1.0, and neither is true."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _broken(where: str, why: str) -> NoReturn:
    raise Refuse(one_line(f"the model's answer breaks the schema: {why}, at {where}"))
