"""JSONPath (RFC 9535): a stranger's query of a stranger's document, so that every answer ends.

The grammar is a library's. What a query selects is worked out here: numbers are compared as they
are written, not as floats, and each node that is looked at is a step, of which there are so many
and no more. `match` and `search` are left out: with a regular expression, its writer chooses how
long the reader takes.
"""

import decimal
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery
from jsonpath_rfc9535 import filter_expressions as syntax
from jsonpath_rfc9535.function_extensions import Count, Length, Value
from jsonpath_rfc9535.segments import JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath_rfc9535.selectors import (
    FilterSelector,
    IndexSelector,
    JSONPathSelector,
    NameSelector,
    SliceSelector,
    WildcardSelector,
)

from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["MAX_QUERY", "MAX_STEPS", "JsonPath"]

MAX_QUERY = 512
# Each opens a level of the parser's recursion, which must not depend on who calls it.
NESTING, MAX_NESTING = "[(!", 48
MAX_STEPS = 50_000
TEXT_STEP = 256


class JsonPath:
    """A query. Raises ValueError, in one line, for a text that is none.

    Two nodes that read the same document select the same, or both refuse.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_QUERY:
            raise ValueError(f"a path has at most {MAX_QUERY} characters")
        if sum(map(text.count, NESTING)) > MAX_NESTING:
            raise ValueError(f"a path has at most {MAX_NESTING} of the characters {NESTING}")
        try:
            self._query = _LANGUAGE.compile(text)
        except (JSONPathError, ArithmeticError, LookupError, ValueError) as error:
            # The library overflows at 1e400; what else hostile text finds in it is no path either.
            raise ValueError(f"the path is no JSONPath: {one_line(str(error))}") from None

    def find(self, document: object, limit: int) -> list[object]:
        """Return the values that are selected, in order, and no more than `limit` of them.

        document: JSON whose numbers are int and Decimal. Raises Refuse over MAX_STEPS.
        """
        return list(itertools.islice(_Search(document).query(self._query, document), limit))


class _Language(JSONPathEnvironment):
    """The functions whose time is bounded."""

    def setup_function_extensions(self) -> None:
        self.function_extensions |= {"count": Count(), "length": Length(), "value": Value()}


_LANGUAGE = _Language()


class _Nothing:
    """What a query in a comparison is that selects no node (RFC 9535, 2.3.5.2.2)."""


_NOTHING: Final = _Nothing()


class _Search:
    """One query of one document."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MAX_STEPS

    def query(self, query: JSONPathQuery, start: object) -> Iterator[object]:
        found: Iterator[object] = iter([start])
        for segment in query.segments:
            found = self._segment(segment, found)
        return found

    def _step(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise Refuse(f"the path takes over {MAX_STEPS} steps in this document")

    def _segment(self, segment: JSONPathSegment, nodes: Iterable[object]) -> Iterator[object]:
        descends = isinstance(segment, JSONPathRecursiveDescentSegment)
        for node in nodes:
            for each in self._descendants(node) if descends else (node,):
                for selector in segment.selectors:
                    yield from self._select(selector, each)

    def _descendants(self, node: object) -> Iterator[object]:
        """A node, then all below it; a document has at most 32 levels."""
        yield node
        for child in self._children(node):
            yield from self._descendants(child)

    def _children(self, node: object) -> Iterator[object]:
        if isinstance(node, dict | list):
            for child in node.values() if isinstance(node, dict) else node:
                self._step()
                yield child

    def _select(self, selector: JSONPathSelector, node: object) -> Iterator[object]:
        self._step()
        match selector:
            case NameSelector():
                if isinstance(node, dict) and selector.name in node:
                    yield node[selector.name]
            case IndexSelector():
                if isinstance(node, list) and -len(node) <= selector.index < len(node):
                    yield node[selector.index]
            case SliceSelector():
                if isinstance(node, list) and selector.slice.step != 0:
                    for at in range(*selector.slice.indices(len(node))):
                        self._step()
                        yield node[at]
            case WildcardSelector():
                yield from self._children(node)
            case FilterSelector():
                for child in self._children(node):
                    if self._holds(selector.expression.expression, child):
                        yield child
            case _:
                raise Refuse(
                    f"the path has a selector that is not known: {one_line(str(selector))}"
                )

    def _holds(self, test: syntax.Expression, node: object) -> bool:
        self._step()
        match test:
            case syntax.LogicalExpression(operator="&&"):
                return self._holds(test.left, node) and self._holds(test.right, node)
            case syntax.LogicalExpression():
                return self._holds(test.left, node) or self._holds(test.right, node)
            case syntax.PrefixExpression():
                return not self._holds(test.right, node)
            case syntax.ComparisonExpression():
                return self._compare(
                    self._value(test.left, node), test.operator, self._value(test.right, node)
                )
            case syntax.FilterQuery():
                return any(True for _ in self._query_in_filter(test, node))
            case _:
                raise Refuse(f"the path has a test that is none: {one_line(str(test))}")

    def _query_in_filter(self, test: syntax.FilterQuery, node: object) -> Iterator[object]:
        absolute = isinstance(test, syntax.RootFilterQuery)
        return self.query(test.query, self._root if absolute else node)

    def _value(self, of: syntax.Expression, node: object) -> object:
        self._step()
        match of:
            case syntax.IntegerLiteral() | syntax.FloatLiteral():
                return _number(of.token.value)
            case syntax.FilterExpressionLiteral():
                return of.value
            case syntax.FilterQuery():
                return _only(self._query_in_filter(of, node))
            case syntax.FunctionExtension(name="length", args=[argument]):
                value = self._value(argument, node)
                return len(value) if isinstance(value, str | list | dict) else _NOTHING
            case syntax.FunctionExtension(name="count", args=[syntax.FilterQuery() as query]):
                return sum(1 for _ in self._query_in_filter(query, node))
            case syntax.FunctionExtension(name="value", args=[syntax.FilterQuery() as query]):
                return _only(self._query_in_filter(query, node))
            case _:
                raise Refuse(f"the path has a value that is none: {one_line(str(of))}")

    def _compare(self, left: object, operator: str, right: object) -> bool:
        match operator:
            case "==":
                return self._same(left, right)
            case "!=":
                return not self._same(left, right)
            case "<":
                return self._less(left, right)
            case ">":
                return self._less(right, left)
            case "<=":
                return self._less(left, right) or self._same(left, right)
            case _:
                return self._less(right, left) or self._same(left, right)

    def _same(self, left: object, right: object) -> bool:
        """Compare as JSON, where 1 is not true."""
        self._step()
        if isinstance(left, list) and isinstance(right, list):
            return len(left) == len(right) and all(map(self._same, left, right))
        if isinstance(left, dict) and isinstance(right, dict):
            # All keys may be compared before the first value is.
            self._step(len(left) // 8)
            return left.keys() == right.keys() and all(
                self._same(left[key], right[key]) for key in left
            )
        if _is_number(left) and _is_number(right):
            return left == right
        self._read(left, right)
        return type(left) is type(right) and left == right

    def _less(self, left: object, right: object) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            self._read(left, right)
            return left < right
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        return (
            isinstance(left, int | decimal.Decimal)
            and isinstance(right, int | decimal.Decimal)
            and left < right
        )

    def _read(self, *values: object) -> None:
        """Long texts take as many steps as the time to compare them."""
        self._step(sum(len(value) // TEXT_STEP for value in values if isinstance(value, str)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | decimal.Decimal) and not isinstance(value, bool)


def _number(text: str) -> decimal.Decimal:
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise Refuse(f"the path has a number that is none: {one_line(text)}") from None


def _only(nodes: Iterator[object]) -> object:
    """Return the value of the one node, nothing where there is none or several."""
    found = list(itertools.islice(nodes, 2))
    return found[0] if len(found) == 1 else _NOTHING
