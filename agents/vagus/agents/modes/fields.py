"""fields: run again, compare what the output says, field by field.

    rule        how all that no other parameter names is compared; "identical" where it is absent
    "/price"    a JSON Pointer (RFC 6901): how that field of a JSON output is compared

A comparison is one of

    "identical"      the same JSON value, or the same bytes
    "within 0.5"     numbers at most so far apart
    "within 1.5%"    numbers at most so far apart, in percent of the larger one
    "median"         each member's number is revealed, and the median is taken

A number is a JSON number or a text of decimal digits; an output that is `bytes` has int256 words,
which `rule` is for; where the agent says that it is another kind of bytes (`Agent.numeric`), it must
be identical. With a median the outcome is combined of what a quorum of members revealed: of
results that agree in all identical fields, which must be more than half, each number is the median,
the lower one where they are even. It is one of the values that were revealed, and lies within those
of honest members as long as f of 2f + 1 lie.
"""

import decimal
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vagus.agents.base import Agent
from vagus.agents.document import Document
from vagus.agents.modes.base import CheckContext, Parameters, Result, Verdict, Verifier
from vagus.agents.modes.combined import check_combined
from vagus.agents.modes.values import (
    WORD,
    Form,
    Pointer,
    decimal_of,
    form_of,
    read_output,
    read_words,
)
from vagus.protocol import Intent, Refuse, canonical

__all__ = ["Fields", "Rule"]

# Exact for doubles and for texts of 160 digits, and for their products.
EXACT = decimal.Context(prec=2000)
# How many differences a verdict tells, and how long a name and a number in it are.
MEASURED, MEASURED_NAME, MEASURED_DIGITS = 8, 64, 80
_RULE = re.compile(
    r"(?P<kind>identical|median|within (?P<limit>[0-9]{1,40}(\.[0-9]{1,40})?)(?P<percent>%)?)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One comparison; limit is None unless numbers may differ."""

    median: bool
    limit: decimal.Decimal | None = None
    percent: bool = False

    @classmethod
    def read(cls, text: object) -> "Rule":
        """Read a rule as a manifest has it. Raises ValueError."""
        found = _RULE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError('a rule is "identical", "median", "within 0.5" or "within 1.5%"')
        limit = found["limit"]
        value = None if limit is None else decimal.Decimal(limit)
        return cls(found["kind"] == "median", value, found["percent"] is not None)

    @property
    def numeric(self) -> bool:
        """Whether it compares numbers."""
        return self.median or self.limit is not None

    def allows(self, one: decimal.Decimal, other: decimal.Decimal) -> bool:
        """Whether two numbers are near enough; any two are where the median is taken."""
        if self.limit is None:
            return self.median or one == other
        apart = EXACT.abs(EXACT.subtract(one, other))  # abs() would round to 28 digits
        if not self.percent:
            return apart <= self.limit
        larger = max(EXACT.abs(one), EXACT.abs(other))
        return EXACT.multiply(apart, decimal.Decimal(100)) <= EXACT.multiply(larger, self.limit)


@dataclass(frozen=True, slots=True)
class _Split:
    """An output as what must be identical, and its numbers by their field's name."""

    same: bytes
    numbers: dict[str, decimal.Decimal]


class Fields(Verifier):
    """Compares fields; combines them where one is a median."""

    runs_again = True

    def _read(self, parameters: Parameters) -> None:
        self._form = form_of(self.manifest)
        rules: dict[str, Rule] = {}
        for name, text in parameters.rest().items():
            try:
                if name != "rule":
                    Pointer(name)
                rules[name] = Rule.read(text)
            except ValueError as error:
                parameters.wrong(name, str(error))
        self._rule = rules.pop("rule", Rule(median=False))
        self._rules = rules
        pointers = self._pointers
        for each in pointers:
            if self._form is not Form.JSON:
                parameters.wrong(each.text, f"the agent's output is {self._form.value}, not JSON")
            if any(other is not each and other.holds(each) for other in pointers):
                parameters.wrong(each.text, "it is within another field that is named")
        if self._rule.numeric and (self._form is Form.TEXT or rules):
            parameters.wrong("rule", "the whole of this output is no number")
        self.combines = any(rule.median for rule in (self._rule, *rules.values()))

    def for_value(self, agent: Agent, value: Any) -> "Fields":
        """Compare bytes that are no numbers as identical."""
        if self._form is not Form.BYTES or not self._rule.numeric or agent.numeric(value):
            return self
        return _Identical(self.manifest)

    @cached_property
    def _pointers(self) -> tuple[Pointer, ...]:
        return tuple(Pointer(name) for name in sorted(self._rules))

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        if own is None:
            raise Refuse("this node has no result of its own to compare with")
        if self.combines:
            check_combined(self, ctx, own, proposed, document)
        mine, theirs = self._split(own.output), self._split(proposed.output)
        if mine.same != theirs.same or mine.numbers.keys() != theirs.numbers.keys():
            return Verdict(False, "this node's own run differs in what must be identical")
        apart = {
            name: EXACT.subtract(theirs.numbers[name], value)
            for name, value in mine.numbers.items()
        }
        # The farthest are what a reader wants to know; a signed check has no room for all.
        farthest = sorted(apart, key=lambda name: -abs(apart[name]))[:MEASURED]
        measured: dict[str, str | int | bool] = {
            name[:MEASURED_NAME]: _short(apart[name]) for name in farthest
        }
        for name, value in mine.numbers.items():
            if not self._rule_of(name).allows(value, theirs.numbers[name]):
                return Verdict(False, f"this node's own run is too far from it: {name}", measured)
        return Verdict(True, "this node's own run agrees", measured)

    def combine(self, intent: Intent, results: Mapping[bytes, Result]) -> bytes:
        """Return the output with each number the median; Refuse where no majority is identical."""
        if not self.combines:
            return super().combine(intent, results)
        alike: defaultdict[tuple[bytes, ...], list[tuple[bytes, _Split]]] = defaultdict(list)
        for member in sorted(results):
            output = results[member].output
            try:
                split = self._split(output)
            except Refuse:
                continue  # it counts as a result that agrees with none
            alike[split.same, *map(str.encode, split.numbers)].append((output, split))
        most = max(alike.values(), key=len, default=[])
        if 2 * len(most) <= len(results):
            raise Refuse("no more than half of the members agree in what must be identical")
        outputs = [output for output, _ in most]
        medians = {
            name: _middle([(split.numbers[name], output) for output, split in most])
            for name in most[0][1].numbers
        }
        return self._joined(outputs, medians)

    def _split(self, output: bytes) -> _Split:
        """Take an output apart. Raises Refuse where it is not of the form that the rules need."""
        if self._form is Form.TEXT or not (self._rules or self._rule.numeric):
            return _Split(output, {})
        if self._form is Form.BYTES:
            words = read_words(output)
            return _Split(b"", {f"word {at}": decimal.Decimal(w) for at, w in enumerate(words)})
        value = read_output(output)
        if self._rule.numeric:
            return _Split(b"", {"": decimal_of(value)})
        numbers: dict[str, decimal.Decimal] = {}
        for pointer in self._pointers:
            if self._rules[pointer.text].numeric:
                numbers[pointer.text] = decimal_of(pointer.get(value))
                pointer.set(value, None)
            else:
                pointer.get(value)
        return _Split(canonical(value), numbers)  # type: ignore[arg-type]  # parsed from JSON

    def _rule_of(self, name: str) -> Rule:
        return self._rules.get(name, self._rule)

    def _joined(self, outputs: Sequence[bytes], medians: Mapping[str, int]) -> bytes:
        """Return the first output with each number as it is in the output that has its median."""
        if self._form is Form.BYTES:
            return b"".join(
                outputs[source][at * WORD : (at + 1) * WORD]
                for at, source in enumerate(medians.values())
            )
        if self._rule.numeric:
            return outputs[medians[""]]
        values: list[Any] = [read_output(output) for output in outputs]
        found = {
            pointer.text: pointer.get(values[medians[pointer.text]])
            for pointer in self._pointers
            if pointer.text in medians
        }
        for pointer in self._pointers:
            if pointer.text in found:
                pointer.set(values[0], found[pointer.text])
        return canonical(values[0])


class _Identical(Fields):
    """The same mode for an output that is no number."""

    def _read(self, parameters: Parameters) -> None:
        super()._read(parameters)
        self._rule, self.combines = Rule(median=False), False


def _middle(found: Sequence[tuple[decimal.Decimal, bytes]]) -> int:
    """Return which output has the median: the lower one; of equal ones the least in bytes."""
    order = sorted(range(len(found)), key=found.__getitem__)
    return order[(len(order) - 1) // 2]


def _short(number: decimal.Decimal) -> str:
    whole = format(number, "f")
    return whole if len(whole) <= MEASURED_DIGITS else format(number, ".6e")
