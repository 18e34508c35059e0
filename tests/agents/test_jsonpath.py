"""JSONPath: what RFC 9535 says a query selects, exact numbers, and an end to every query."""

import decimal
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.agents.jsonpath import MAX_QUERY, MAX_STEPS, JsonPath
from vagus.protocol import Refuse


def parsed(text: str) -> Any:
    return json.loads(text, parse_float=decimal.Decimal)


def selected(query: str, document: Any) -> list[Any]:
    return JsonPath(query).find(document, 1 << 30)


# RFC 9535, figure 1.
STORE = parsed("""{"store": {"book": [
    {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
    {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
    {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick",
     "isbn": "0-553-21311-3", "price": 8.99},
    {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings",
     "isbn": "0-395-19395-8", "price": 22.99}],
  "bicycle": {"color": "red", "price": 399}}}""")
BOOKS = STORE["store"]["book"]
AUTHORS = ["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]


@pytest.mark.parametrize(
    ("query", "values"),
    [  # its table 2
        ("$.store.book[*].author", AUTHORS),
        ("$..author", AUTHORS),
        ("$.store.*", [BOOKS, STORE["store"]["bicycle"]]),
        ("$.store..price", [*(book["price"] for book in BOOKS), 399]),
        ("$..book[2]", [BOOKS[2]]),
        ("$..book[2].author", ["Herman Melville"]),
        ("$..book[2].publisher", []),
        ("$..book[-1]", [BOOKS[3]]),
        ("$..book[0,1]", BOOKS[:2]),
        ("$..book[:2]", BOOKS[:2]),
        ("$..book[?@.isbn]", BOOKS[2:]),
        ("$..book[?@.price<10]", [BOOKS[0], BOOKS[2]]),
    ],
)
def test_a_query_of_the_rfcs_store_selects_what_the_rfc_says(query: str, values: list[Any]) -> None:
    assert selected(query, STORE) == values


def test_everything_below_the_root_has_27_nodes() -> None:
    assert len(selected("$..*", STORE)) == 27


# RFC 9535, 2.3.5.3.
FILTERED = parsed("""{"a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}],
    "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}}, "e": "f"}""")


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("$.a[?@.b == 'kilo']", [{"b": "kilo"}]),
        ("$.a[?(@.b == 'kilo')]", [{"b": "kilo"}]),
        ("$.a[?@>3.5]", [5, 4, 6]),
        ("$.a[?@.b]", [{"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}]),
        ("$[?@.*]", [FILTERED["a"], FILTERED["o"]]),
        ("$[?@[?@.b]]", [FILTERED["a"]]),
        ("$.o[?@<3, ?@<3]", [1, 2, 1, 2]),
        ('$.a[?@<2 || @.b == "k"]', [1, {"b": "k"}]),
        ("$.o[?@>1 && @<4]", [2, 3]),
        ("$.o[?@.u || @.x]", [{"u": 6}]),
        ("$.a[?@.b == $.x]", [3, 5, 1, 2, 4, 6]),
        ("$.a[?@ == @]", FILTERED["a"]),
        ("$[?length(@) < 3]", ["f"]),
        ("$[?count(@.*) == 10]", [FILTERED["a"]]),
        ("$.a[?value(@..b) == 'j']", [{"b": "j"}]),
    ],
)
def test_a_filter_selects_what_the_rfc_says(query: str, values: list[Any]) -> None:
    assert selected(query, FILTERED) == values


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [  # its table 11
        ("$.absent1 == $.absent2", True),
        ("$.absent1 <= $.absent2", True),
        ("$.absent == 'g'", False),
        ("$.absent1 != $.absent2", False),
        ("$.absent != 'g'", True),
        ("1 <= 2", True),
        ("1 > 2", False),
        ("13 == '13'", False),
        ("'a' <= 'b'", True),
        ("'a' > 'b'", False),
        ("$.obj == $.arr", False),
        ("$.obj != $.arr", True),
        ("$.obj == $.obj", True),
        ("$.obj != $.obj", False),
        ("$.arr == $.arr", True),
        ("$.arr != $.arr", False),
        ("$.obj == 17", False),
        ("$.obj != 17", True),
        ("$.obj <= $.arr", False),
        ("$.obj < $.arr", False),
        ("$.obj <= $.obj", True),
        ("$.arr <= $.arr", True),
        ("1 <= $.arr", False),
        ("1 >= $.arr", False),
        ("1 > $.arr", False),
        ("1 < $.arr", False),
        ("true <= true", True),
        ("true > true", False),
    ],
)
def test_a_comparison_holds_where_the_rfc_says(comparison: str, holds: bool) -> None:
    document = {"obj": {"x": "y"}, "arr": [2, 3]}
    assert selected(f"$[?{comparison}]", document) == (list(document.values()) if holds else [])


@pytest.mark.parametrize(
    ("query", "document", "values"),
    [
        ("$[?@ == 0.1]", "[0.1, 0.10, 0.1000000000000000055]", "[0.1, 0.10]"),
        ("$[?@ == 9007199254740993]", "[9007199254740992, 9007199254740993]", "[9007199254740993]"),
        ("$[?@ > 1e2]", "[100, 100.0000000000000000001]", "[100.0000000000000000001]"),
        ("$[?@ == 1]", "[1, 1.0, true, [1], 1e0]", "[1, 1.0, 1e0]"),
        ("$[?@.a == @.b]", '[{"a": [1], "b": [true]}, {"a": {"x": 0}, "b": {"x": false}}]', "[]"),
        ("$[?@]", '[0, false, null, "", [], {}]', '[0, false, null, "", [], {}]'),
        ("$.y[?@[?@ == $.x]]", '{"x": 1, "y": [[1], [2]]}', "[[1]]"),
    ],
)
def test_values_are_compared_as_they_are_written(query: str, document: str, values: str) -> None:
    assert selected(query, parsed(document)) == parsed(values)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no JSONPath"),
        ("store", "no JSONPath"),
        ("$.", "no JSONPath"),
        ("$[01]", "no JSONPath"),
        ("$[?@.a", "no JSONPath"),
        ("$ ", "no JSONPath"),
        ("$[9007199254740992]", "index out of range"),
        ("$[?match(@.a, '.*')]", "'match' is not defined"),
        ("$[?search(@.a, '(a+)+$')]", "'search' is not defined"),
        ("$[?@.a == 1e400]", "no JSONPath"),
        ("$" + "." + "a" * MAX_QUERY, "at most 512 characters"),
        ("$" + "[?@" * 49 + "]" * 49, "at most 48 of the characters"),
        ("$[?" + "(" * 49 + "@" + ")" * 49 + "]", "at most 48 of the characters"),
        ("$[?" + "!" * 49 + "@]", "at most 48 of the characters"),
    ],
)
def test_what_is_no_query_or_may_not_end_is_refused_in_words(query: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        JsonPath(query)


WIDE: list[Any] = [{"a": 1, "b": [1, 2, 3]}] * 3000
KEYS: dict[str, Any] = {str(at): 0 for at in range(4000)}


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("$..[?@..[?@..*]]", WIDE),
        ("$[*,*][*,*][*,*,*,*]", WIDE),
        ("$..*..*..*..*..*", WIDE),
        ("$[?count($..*) > 0]", WIDE),
        ("$[?$ == $]", WIDE),
        ("$.c[?$.a == $.b]", {"a": "x" * 500_000, "b": "x" * 499_999 + "y", "c": [0] * 5000}),
        ("$.c[?$.a == $.b]", {"a": KEYS | {"0": 1}, "b": KEYS, "c": [0] * 500}),
        ("$.c[?$.a < $.b]", {"a": "x" * 500_000, "b": "x" * 499_999 + "y", "c": [0] * 5000}),
    ],
)
def test_a_query_that_takes_long_is_left_after_so_many_steps(query: str, document: Any) -> None:
    with pytest.raises(Refuse, match=f"over {MAX_STEPS} steps"):
        selected(query, document)


def test_no_more_is_looked_at_than_is_asked_for() -> None:
    endless = JsonPath("$..a")
    assert endless.find(WIDE * 10, 2) == [1, 1]
    with pytest.raises(Refuse, match="steps"):
        endless.find(WIDE * 10, 30_001)


PARTS = st.sampled_from(
    ["$", "@", ".", "..", "a", "[", "]", "*", "?", "(", ")", "'", '"', "0", "-1", ":", ",", "==",
     "<", "&&", "||", "!", " ", "\n", "1.5e-3", "true", "null", "length(", "count(", "\\u", "\\ud83d",
     "\x00", "é", "𝄞", "[?@.a", "['a']", "[0]"]
)  # fmt: skip


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.lists(PARTS, max_size=16))
def test_any_text_is_a_query_or_is_refused(parts: list[str]) -> None:
    document = {"a": [1, 2, {"a": decimal.Decimal("1.5"), "é": None}]}
    words = "a query"
    try:
        JsonPath("$" + "".join(parts)).find(document, 10)
    except ValueError as error:
        words = str(error)
    except Refuse as error:
        words = error.reason
    assert words.isprintable()
