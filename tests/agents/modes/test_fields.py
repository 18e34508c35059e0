"""fields: what must be identical, near, or is the median of the members' numbers."""

import json
import statistics
from fractions import Fraction
from typing import Any

import pytest
import rfc8785
from eth_abi.abi import decode, encode
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from support.modes import check_context, members, result_of, said, verifier_of
from vagus.agents import Agent
from vagus.agents.builtin.choose import Choose
from vagus.agents.builtin.extract import Extract
from vagus.agents.builtin.number import Number
from vagus.agents.modes import Result, Verdict, combined, mode_of
from vagus.protocol import Refuse


class Quote(BaseModel):
    """An output with fields."""

    price: float
    size: str
    venue: dict[str, Any]


class Scalar(RootModel[float]):
    """An output that is one JSON number."""


async def compared(agent: Agent, own: bytes, proposed: bytes) -> Verdict:
    mine = await result_of(agent, output=own)
    return await mode_of(agent.manifest).check(
        check_context(agent), mine, await result_of(agent, output=proposed)
    )


def quote(price: Any = 100, size: Any = "10", venue: Any = None) -> bytes:
    return rfc8785.dumps({"price": price, "size": size, "venue": venue or {"id": 1}})


@pytest.mark.parametrize(
    ("rules", "own", "proposed", "right"),
    [
        ({"rule": "identical"}, quote(), quote(), True),
        ({}, quote(), quote(101), False),
        ({"/price": "within 1"}, quote(100), quote(101), True),
        ({"/price": "within 1"}, quote(100), quote(99), True),
        ({"/price": "within 1"}, quote(100), quote(101.0001), False),
        ({"/price": "within 1"}, quote(100), quote(100, "11"), False),
        ({"/price": "within 0"}, quote(100), quote(100), True),
        ({"/price": "within 0.3"}, quote(0.1), quote(0.4), True),
        ({"/price": "within 0.299999999999999999"}, quote(0.1), quote(0.4), False),
        ({"/price": "within 1%"}, quote(99), quote(100), True),
        ({"/price": "within 1%"}, quote(100), quote(99), True),
        ({"/price": "within 1%"}, quote(98.9), quote(100), False),
        ({"/price": "within 1%"}, quote(-99), quote(-100), True),
        ({"/price": "within 1%"}, quote(0), quote(0), True),
        ({"/price": "within 1%"}, quote(-0.5), quote(0.5), False),
        ({"/size": "within 5"}, quote(size="1" + "0" * 60), quote(size="1" + "0" * 59 + "5"), True),
        (
            {"/size": "within 5"},
            quote(size="1" + "0" * 60),
            quote(size="1" + "0" * 59 + "6"),
            False,
        ),
        ({"/size": "within 5"}, quote(), quote(size="ten"), False),
        ({"/size": "within 5"}, quote(), quote(size=True), False),
        ({"/size": "within 5"}, quote(), quote(size=None), False),
        ({"/venue/id": "within 1"}, quote(), quote(venue={"id": 2}), True),
        ({"/venue/id": "within 1"}, quote(), quote(venue={"id": 2, "x": 1}), False),
        ({"/venue/no": "within 1"}, quote(), quote(), False),
        ({"/price": "within 1"}, quote(), b"[]", False),
        ({"/price": "within 1"}, quote(), b"{", False),
        ({"/price": "within 1"}, quote(), b" " + quote(), False),
        ({"/price": "within 1", "/size": "within 1"}, quote(), quote(101, "9"), True),
        ({"/price": "within 1", "/size": "within 1"}, quote(), quote(101, "8"), False),
    ],
)
async def test_a_json_output_is_compared_field_by_field(
    rules: dict[str, str], own: bytes, proposed: bytes, right: bool
) -> None:
    assert (await compared(said(Quote, "fields", **rules), own, proposed)).right is right


def word(*numbers: int) -> bytes:
    return encode(["int256"] * len(numbers), numbers)


@pytest.mark.parametrize(
    ("output", "rule", "own", "proposed", "right"),
    [
        (bytes, "identical", b"\x01", b"\x01", True),
        (bytes, "identical", b"\x01", b"\x02", False),
        (bytes, "within 3", word(-1), word(2), True),
        (bytes, "within 3", word(-1), word(3), False),
        (bytes, "within 3", word(1, 2), word(1, 5), True),
        (bytes, "within 3", word(1, 2), word(1, 6), False),
        (bytes, "within 3", word(1, 2), word(1), False),
        (bytes, "within 3", word(1), b"\x01", False),
        (bytes, "within 3", word(1), b"", False),
        (bytes, "within 3", word(-(2**255)), word(2**255 - 1), False),
        (str, "identical", b"yes", b"yes", True),
        (str, "identical", b"yes", b"no", False),
        (Scalar, "within 0.5", b"1", b"1.5", True),
        (Scalar, "within 0.5", b"1", b"1.6", False),
        (Scalar, "within 0.5", b"1e+308", b"1e+308", True),
        (Scalar, "within 0.5", b"1", b'{"a":1}', False),
    ],
)
async def test_an_output_without_fields_is_compared_by_the_rule(
    output: Any, rule: str, own: bytes, proposed: bytes, right: bool
) -> None:
    assert (await compared(said(output, "fields", rule=rule), own, proposed)).right is right


async def test_what_was_measured_is_how_far_each_number_is_from_the_members_own() -> None:
    agent = said(Quote, "fields", **{"/price": "within 1", "/size": "within 1%"})
    found = await compared(agent, quote(100.5, "200"), quote(101, "210"))
    assert (found.right, found.reason) == (False, "this node's own run is too far from it: /size")
    assert found.measured == {"/price": "0.5", "/size": "10"}


async def test_a_verdict_tells_the_farthest_differences_in_few_words() -> None:
    far = await compared(
        said(bytes, "fields", rule="within 0"), word(*range(250)), word(*range(1, 500, 2))
    )
    assert len(far.measured) == 8
    assert far.measured["word 249"] == "250"
    huge = await compared(said(Scalar, "fields", rule="within 0"), b"1e+308", b"-1e+308")
    assert huge.measured == {"": "-2.000000e+308"}


NUMBERS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < 2**53)


@given(NUMBERS, NUMBERS, st.integers(0, 10**6))
def test_tolerances_are_exact(one: float, other: float, limit: int) -> None:
    from vagus.agents.modes.fields import Rule
    from vagus.agents.modes.values import decimal_of

    a, b = Fraction(repr(one)), Fraction(repr(other))
    within = Rule.read(f"within {limit}"), Rule.read(f"within {limit / 1000:.3f}%")
    found = tuple(rule.allows(decimal_of(one), decimal_of(other)) for rule in within)
    relative = abs(a - b) * 100 <= max(abs(a), abs(b)) * Fraction(limit, 1000)
    assert found == (abs(a - b) <= limit, relative)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [  # RFC 6901, section 5
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_are_those_of_rfc_6901(pointer: str, value: object) -> None:
    from vagus.agents.modes.values import Pointer

    document = json.loads(
        r'{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}'
    )
    assert Pointer(pointer).get(document) == value


@pytest.mark.parametrize("pointer", ["/no", "/foo/2", "/foo/00", "/foo/-", "/foo/0/x", "/a~1b/c"])
def test_a_field_that_is_not_there_is_refused(pointer: str) -> None:
    from vagus.agents.modes.values import Pointer

    with pytest.raises(Refuse, match="no field"):
        Pointer(pointer).get({"foo": ["bar", "baz"], "a/b": 1})


@pytest.mark.parametrize(
    ("output", "rules", "why"),
    [
        (Quote, {"rule": "about"}, '"identical", "median", "within 0.5"'),
        (Quote, {"/price": "within -1"}, "a rule is"),
        (Quote, {"/price": "within 1e3"}, "a rule is"),
        (Quote, {"/price": "within"}, "a rule is"),
        (Quote, {"/price": 1}, "a rule is"),
        (Quote, {"price": "median"}, "JSON Pointer"),
        (Quote, {"": "median"}, "JSON Pointer"),
        (Quote, {"/a~2": "median"}, "JSON Pointer"),
        (Quote, {"/venue": "identical", "/venue/id": "median"}, "within another field"),
        (Quote, {"rule": "median", "/price": "median"}, "no number"),
        (bytes, {"/price": "median"}, "is bytes, not JSON"),
        (str, {"/price": "median"}, "is text, not JSON"),
        (str, {"rule": "median"}, "no number"),
        (str, {"rule": "within 1"}, "no number"),
    ],
)
def test_rules_that_make_no_sense_are_refused_in_words(
    output: Any, rules: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        verifier_of(output, "fields", **rules)


def test_the_built_in_agents_have_rules_that_are_understood() -> None:
    assert not mode_of(Choose().manifest).combines
    assert not mode_of(Extract().manifest).combines
    assert mode_of(Number().manifest).combines


# The median


async def revealed(agent: Agent, *outputs: bytes) -> dict[bytes, Result]:
    return {
        member: await result_of(agent, output=output, executor=member)
        for member, output in zip(members(len(outputs)), outputs, strict=True)
    }


@given(st.lists(st.integers(-(2**255), 2**255 - 1), min_size=1, max_size=32))
async def test_the_median_is_the_lower_one_of_the_numbers(numbers: list[int]) -> None:
    agent = Number()
    found = mode_of(agent.manifest).combine(
        check_context(agent).intent, await revealed(agent, *map(word, numbers))
    )
    assert decode(["int256"], found) == (statistics.median_low(numbers),)


async def test_each_word_has_a_median_of_its_own() -> None:
    agent = said(bytes, "fields", rule="median")
    outputs = [word(1, 30, 5), word(2, 20, 5), word(3, 10, 5)]
    made = mode_of(agent.manifest).combine(
        check_context(agent).intent, await revealed(agent, *outputs)
    )
    assert decode(["int256"] * 3, made) == (2, 20, 5)


async def test_medians_of_fields_keep_the_numbers_as_they_were_written() -> None:
    agent = said(Quote, "fields", **{"/price": "median", "/size": "median"})
    outputs = [quote(1.5, "007.0"), quote(9, "8.10"), quote(1.25, "9"), quote(2, "3")]
    verifier, results = mode_of(agent.manifest), await revealed(agent, *outputs)
    assert verifier.combine(check_context(agent).intent, results) == quote(1.5, "007.0")


async def test_members_who_differ_in_what_must_be_identical_are_outvoted() -> None:
    agent = said(Quote, "fields", **{"/price": "median"})
    verifier, intent = mode_of(agent.manifest), check_context(agent).intent
    outputs = [quote(1), quote(1000, "x"), quote(2), b"no JSON", quote(3)]
    assert verifier.combine(intent, await revealed(agent, *outputs)) == quote(2)
    with pytest.raises(Refuse, match="no more than half"):
        verifier.combine(intent, await revealed(agent, *outputs[:4]))
    with pytest.raises(Refuse, match="no more than half"):
        verifier.combine(intent, {})


async def check_proposal(
    agent: Agent, results: dict[bytes, Result], proposed: Result, member: int = 1
) -> Verdict:
    signer = members(member + 1)[member]
    own = results.get(signer)
    ctx = check_context(agent, member=signer, revealed=results)
    return await mode_of(agent.manifest).check(ctx, own, proposed)


async def test_a_proposal_is_what_the_members_results_make() -> None:
    agent = Number()
    results = await revealed(agent, word(5), word(7), word(-1))
    leader = members(1)[0]
    intent = check_context(agent).intent
    proposed = combined(mode_of(agent.manifest), intent, results, leader)
    assert proposed.output == word(5)
    found = await check_proposal(agent, results, proposed)
    assert (found.right, found.measured) == (True, {"word 0": "-2"})
    listed = json.loads(proposed.evidence)["results"]
    assert [each["signer"] for each in listed] == ["0x" + m.hex() for m in sorted(results)]


async def test_a_leader_can_neither_change_nor_choose_a_value() -> None:
    agent = Number()
    verifier, intent = mode_of(agent.manifest), check_context(agent).intent
    results = await revealed(agent, word(5), word(7), word(-1))
    leader = members(1)[0]
    chosen = await result_of(agent, output=word(7), executor=leader)
    assert "whose results" in (await check_proposal(agent, results, chosen)).reason
    for lie in (
        results | {leader: chosen},
        results | {members(3)[2]: await result_of(agent, output=word(6), executor=members(3)[2])},
        {member: results[member] for member in members(2)},
    ):
        proposed = combined(verifier, intent, lie, leader)
        found = await check_proposal(agent, results, proposed)
        assert (found.right, "not what" in found.reason) == (False, True)


async def test_a_member_whose_own_result_is_changed_says_no() -> None:
    agent = Number()
    results = await revealed(agent, word(5), word(7), word(-1))
    me = members(2)[1]
    changed = results | {me: await result_of(agent, output=word(5), executor=me)}
    proposed = combined(
        mode_of(agent.manifest), check_context(agent).intent, changed, members(1)[0]
    )
    ctx = check_context(agent, member=me, revealed=changed)
    found = await mode_of(agent.manifest).check(ctx, results[me], proposed)
    assert (found.right, found.reason) == (False, "what stands for this node's result is another")


async def test_a_leader_combines_its_own_result_with_the_others() -> None:
    agent = Number()
    results = await revealed(agent, word(5), word(7))
    with pytest.raises(Refuse, match="leader's own result"):
        combined(mode_of(agent.manifest), check_context(agent).intent, results, members(3)[2])


async def test_a_number_within_a_tolerance_is_the_median_and_near_each_members_own() -> None:
    agent = said(Quote, "fields", **{"/price": "median", "/size": "within 2"})
    results = await revealed(agent, quote(1, "10"), quote(2, "12"), quote(3, "15"))
    proposed = combined(
        mode_of(agent.manifest), check_context(agent).intent, results, members(1)[0]
    )
    assert proposed.output == quote(2, "12")
    assert [(await check_proposal(agent, results, proposed, at)).right for at in range(3)] == [
        True,
        True,
        False,
    ]
