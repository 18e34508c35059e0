"""Schemas of tools: what is taken, what is refused, and pydantic as the judge of what fits."""

import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus.agents.langchain.schemas import narrowed, plain
from vagus.agents.langchain.tools import read_tool, read_tools
from vagus.agents.langchain.validation import violation
from vagus.protocol import Refuse


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["a", "b", 3]
    size: Annotated[float, Field(gt=0, le=10)] | None = None


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=5)]
    code: Annotated[str, Field(pattern="^[a-c]+$")]
    count: Annotated[int, Field(gt=-3, lt=4)]
    even: Annotated[int, Field(multiple_of=2)] = 0
    inner: Inner
    inners: Annotated[list[Inner], Field(max_length=2)] = []
    pair: tuple[int, str] = (1, "")
    prices: dict[str, int] = {}
    flag: bool | None = None


texts = st.text("abcé🐦", max_size=7)


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values that fit, but for one in nine: of ten, some have no fault and few have many."""
    return st.integers(0, 8).flatmap(lambda dice: wrong if dice == 8 else right)


inners = st.fixed_dictionaries(
    {"kind": mostly(st.sampled_from(["a", "b", 3]), st.sampled_from(["c", True, None]))},
    optional={"size": mostly(st.none() | st.floats(0.5, 10), st.floats(-1, 11) | texts)},
)
orders = st.fixed_dictionaries(
    {
        "name": mostly(st.text("aé🐦", min_size=1, max_size=5), texts | st.none()),
        "code": mostly(st.text("abc", min_size=1), texts),
        "count": mostly(st.integers(-2, 3), st.integers(-4, 5) | st.booleans()),
        "inner": mostly(inners, st.just({}) | st.just({"kind": "a", "more": 1})),
    },
    optional={
        "even": mostly(st.sampled_from([-2, 0, 4]), st.integers(-4, 4)),
        "inners": mostly(st.lists(inners, max_size=2), st.lists(inners, min_size=3)),
        "pair": mostly(st.tuples(st.integers(), texts).map(list), st.lists(st.integers())),
        "prices": mostly(
            st.dictionaries(texts, st.integers(), max_size=2), st.just({"a": "1"}) | st.none()
        ),
        "flag": mostly(st.none() | st.booleans(), st.integers(0, 1)),
    },
)


@given(orders)
def test_a_value_fits_exactly_where_pydantic_takes_it(value: dict[str, Any]) -> None:
    try:
        Order.model_validate_json(json.dumps(value), strict=True)
    except ValidationError:
        fits = False
    else:
        fits = True
    assert (violation(value, plain(Order.model_json_schema())) is None) == fits


@given(orders, st.integers(1, 4000))
def test_what_an_engine_is_held_to_allows_nothing_that_the_schema_forbids(
    value: dict[str, Any], chars: int
) -> None:
    full = plain(Order.model_json_schema())
    tight = narrowed(full, chars)
    assert "pattern" not in json.dumps(tight)
    if violation(value, tight) is None:
        del full["properties"]["code"]["pattern"]
        assert violation(value, full) is None


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Each definition holds the one before twice: 2^levels parts once they are filled in."""
    definitions: dict[str, Any] = {"d0": {"type": "integer"}}
    for level in range(1, levels):
        one = {"$ref": f"#/$defs/d{level - 1}"}
        definitions[f"d{level}"] = {"type": "object", "properties": {"a": one, "b": one}}
    last = {"$ref": f"#/$defs/d{levels - 1}"}
    return {"type": "object", "$defs": definitions, "properties": {"x": last}}


ITSELF = {
    "type": "object",
    "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
    "properties": {"n": {"$ref": "#/$defs/n"}},
}

REFUSED = [
    (nested(40), "nested over 32"),
    (nested(5000), "nested over 32"),
    ({"enum": ["x" * 17_000]}, "over 16384 bytes"),
    (doubling(30), "16384 bytes with its references|nested over 32"),
    (doubling(12), "over 16384 bytes"),
    (ITSELF, "contains itself"),
    ({"$ref": "#"}, "outside of itself"),
    ({"$ref": "#/$defs/none"}, "which it lacks"),
    ({"$ref": "http://127.0.0.1/schema.json"}, "outside of itself"),
    ({"$ref": "file:///etc/passwd"}, "outside of itself"),
    ({"$dynamicRef": "#x"}, r"does not enforce"),
    ({"not": {}}, "does not enforce"),
    ({"if": {}, "then": {}}, "does not enforce"),
    ({"patternProperties": {"(a+)+$": {}}}, "does not enforce"),
    ({"type": "str"}, "can't have this value"),
    ({"type": []}, "can't have this value"),
    ({"type": {"lc": 1}}, "can't have this value"),
    ({"minLength": -1}, "can't have this value"),
    ({"maxItems": True}, "can't have this value"),
    ({"minimum": "0"}, "can't have this value"),
    ({"multipleOf": 0}, "can't have this value"),
    ({"pattern": "("}, "can't have this value"),
    ({"pattern": "(?=a)"}, "can't have this value"),
    ({"enum": []}, "can't have this value"),
    ({"required": "a"}, "can't have this value"),
    ({"properties": []}, "does not enforce"),
    ({"properties": {"a": False}}, "is no schema"),
    ({"items": [{}]}, "is no schema"),
    ({"anyOf": []}, "does not enforce"),
    ({"allOf": [{}, {}]}, "does not enforce"),
    ({"allOf": [{"minimum": 1}], "minimum": 2}, "says minimum twice"),
    ({"const": {1}}, "is no JSON"),
    ({"const": float("nan")}, "is no JSON"),
    ({"const": "\ud800"}, "is no JSON"),
    (True, "must be an object"),
    ([], "must be an object"),
]


@pytest.mark.parametrize(("schema", "why"), REFUSED)
def test_a_schema_that_is_too_much_or_not_enforced_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(Refuse, match=why):
        plain(schema)


@pytest.mark.parametrize(("schema", "why"), REFUSED[:10])
def test_a_tool_of_a_stranger_meets_the_bounds_before_langchain_reads_it(
    schema: Any, why: str
) -> None:
    inside = {"type": "object", **schema}
    remote = StructuredTool(
        name="remote", description="from afar", args_schema=inside, func=lambda: None
    )
    forms: list[Any] = [
        remote,
        {"type": "function", "function": {"name": "remote", "parameters": inside}},
        {"name": "remote", "parameters": inside},
        {"name": "remote", "input_schema": inside},
        {**inside, "title": "remote"},
    ]
    for form in forms:
        with pytest.raises(Refuse):
            read_tool(form)


def test_a_pattern_that_would_backtrack_for_ever_is_matched_at_once() -> None:
    schema = plain({"type": "string", "pattern": "^(a+)+$"})
    assert violation("a" * 5000 + "!", schema) == "$ breaks pattern"
    assert violation("a" * 5000, schema) is None


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"const": 1}, [1, 1.0], [True, "1", None]),
        ({"enum": [None, True, [1]]}, [None, True, [1]], [1, [True], []]),
        ({"type": "integer"}, [1, 2.0, 10**400], [1.5, True, "1"]),
        ({"type": ["string", "null"]}, ["", None], [0, []]),
        ({"multipleOf": 0.1}, [0.3, 1, "x"], [0.35]),
        ({"uniqueItems": True}, [[1, True, "1"]], [[1, 1], [{}, {}]]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 2}]}, [0, 3], [1, 2]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}, [["a", None], []], [["a", 1]]),
        ({"maxLength": 1}, ["é", "🐦", 12], ["ab"]),
        ({"additionalProperties": {"type": "null"}}, [{"a": None}], [{"a": 1}]),
        ({"minimum": 2**200}, [2**200], [2**200 - 1]),
        ({}, [None, {"a": []}], []),
    ],
)  # fmt: skip
def test_words_mean_what_json_schema_says(
    schema: dict[str, Any], right: list[Any], wrong: list[Any]
) -> None:
    read = plain(schema)
    assert [violation(value, read) for value in right] == [None] * len(right)
    assert None not in [violation(value, read) for value in wrong]


def test_bounds_past_what_engines_count_are_checked_and_not_sent() -> None:
    schema = plain({"type": "integer", "minimum": 0, "maximum": 2**256 - 1})
    assert narrowed(schema, 10) == {"type": "integer", "minimum": 0}
    assert violation(2**256, schema) == "$ breaks maximum"


def test_a_tool_is_read_from_all_that_langchain_takes() -> None:
    @tool
    def find(word: str, limit: int = 3) -> str:
        """Find a word."""
        return word

    def plain_function(word: str, limit: int = 3) -> str:
        """Find a word."""
        return word

    plain_function.__name__ = "find"

    class Find(BaseModel):
        """Find a word."""

        word: str
        limit: int = 3

    forms = [read_tool(each) for each in (find, plain_function, Find)]
    assert [form.name for form in forms] == ["find", "find", "Find"]
    assert {form.description for form in forms} == {"Find a word."}
    assert all(form.parameters == forms[0].parameters for form in forms)
    assert forms[0].parameters["required"] == ["word"]


def test_tools_have_names_of_their_own() -> None:
    one = {"name": "a", "parameters": {"properties": {"x": {}}}}
    assert len(read_tools([one, dict(one)])) == 1
    with pytest.raises(Refuse, match="two tools have the name a"):
        read_tools([one, {"name": "a"}])
    with pytest.raises(Refuse, match="0 to 64"):
        read_tools([{"name": f"t{i}"} for i in range(65)])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "a" * 65},
        {"name": None},
        {"name": "a", "description": "x" * 5000},
        {"name": "a", "description": {"lc": 1}},
        {"name": "a", "parameters": {"type": "string"}},
        {"type": "function", "function": None},
        {"lc": 1, "type": "constructor", "id": ["x"], "kwargs": {}},
    ],
)
def test_a_tool_without_name_or_arguments_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refuse):
        read_tool(wrong)
