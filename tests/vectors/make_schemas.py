"""Writes schemas.json: which values a schema allows, in the words of the `jsonschema` library.

    uv run --no-project --with jsonschema tests/vectors/make_schemas.py

Schemas are of the part that `extract@1` understands, with every bound written out.
"""

import json
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

EXACT = 2**53 - 1
SCALARS: list[Any] = [None, True, False, 0, 1, -1, 1.0, 0.5, 2, 3, 150, 1e20, EXACT, "", "a", "1"]
SCALARS += ["null", "true", "ab", "abc", "é", "e\u0301", "\U0001f9e0", "\u202e", "x" * 5]


def schema(source: random.Random, level: int = 0) -> dict[str, Any]:
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const", "several"]
    kind = "object" if level == 0 else source.choice(kinds + ["object", "array"] * (level < 3))
    match kind:
        case "object":
            names = source.sample(["a", "b", "type", "$ref", "é"], source.randint(0, 3))
            return {
                "type": "object",
                "properties": {name: schema(source, level + 1) for name in names},
                "required": source.sample(names, source.randint(0, len(names))),
                "additionalProperties": False,
            }
        case "array":
            least = source.randint(0, 2)
            return {
                "type": "array",
                "items": schema(source, level + 1),
                "minItems": least,
                "maxItems": least + source.randint(0, 2),
            }
        case "string":
            least = source.randint(0, 2)
            return {
                "type": "string",
                "minLength": least,
                "maxLength": least + source.randint(0, 2),
            }
        case "integer":
            least = source.choice([-EXACT, -1, 0, 1, 2])
            return {
                "type": "integer",
                "minimum": least,
                "maximum": source.choice([2, 150, EXACT]),
            }
        case "number":
            return {"type": "number", "minimum": 0.5, "maximum": source.choice([1, 1.5, 150.25])}
        case "enum":
            return {"enum": source.sample(SCALARS, 3)}
        case "const":
            return {"const": source.choice(SCALARS)}
        case "several":
            return {
                "type": ["string", "null", "boolean"],
                "minLength": 1,
                "maxLength": 2,
            }
        case _:
            return {"type": kind}


def value(source: random.Random, asked: dict[str, Any]) -> Any:
    """Something near what a schema asks for: often right, often not."""
    if source.random() < 0.15:
        return source.choice([*SCALARS, [], {}, ["a"], {"a": 1}])
    if "enum" in asked:
        return source.choice([*asked["enum"], *SCALARS[:8]])
    if "const" in asked:
        return source.choice([asked["const"], asked["const"], source.choice(SCALARS)])
    match asked["type"]:
        case "object":
            properties = asked["properties"]
            found = {k: value(source, v) for k, v in properties.items() if source.random() < 0.9}
            return found | ({"other": 1} if source.random() < 0.1 else {})
        case "array":
            count = source.randint(0, asked["maxItems"] + 1)
            return [value(source, asked["items"]) for _ in range(count)]
        case "integer":
            return source.choice([asked["minimum"], asked["maximum"], 1, 2.0, 0, True])
        case "number":
            return source.choice([0.5, 1, 1.5, 150.25, 0, 151])
        case _:
            return source.choice(SCALARS)


def main() -> None:
    source = random.Random(20261123)
    cases = []
    while len(cases) < 600:
        asked = schema(source)
        given = value(source, asked)
        allowed = Draft202012Validator(asked).is_valid(given)
        # Half of them allowed, half not.
        if [case[2] for case in cases].count(allowed) < 300:
            cases.append([asked, given, allowed])
    about = f"[schema, value, allowed] by jsonschema {version('jsonschema')}, draft 2020-12"
    lines = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in cases)
    path = Path(__file__).with_name("schemas.json")
    path.write_text(f'{{\n "about": "{about}",\n "vectors": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
