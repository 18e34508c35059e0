"""number@1: a whole number from min to max as 32 bytes, or a refusal."""

import json
import random
import re
from collections.abc import Callable

import pytest
from eth_abi.abi import decode, encode

from support.agents import Written, local_context, written_context
from vagus.agents import Agent, Context, execute
from vagus.agents.builtin.decimals import pattern_between
from vagus.agents.builtin.number import Number
from vagus.agents.conformance import AgentConformance
from vagus.compute.backends.local import LocalBackend
from vagus.protocol import Refuse

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-agents"),
]

INT256_MIN, INT256_MAX = -(2**255), 2**255 - 1


def payload(low: object, high: object, prompt: object = "How many?") -> bytes:
    return json.dumps({"prompt": prompt, "min": low, "max": high}).encode()


class TestNumber(AgentConformance):
    payload = payload(0, 100, "How many legs has a spider?")

    @pytest.fixture
    def agent(self) -> Agent:
        return Number()

    @pytest.fixture
    def context(self, local_model: LocalBackend) -> Callable[[], Context]:
        return lambda: local_context(local_model)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 0),
        (-1, -1),
        (-5, 5),
        (1900, 2100),
        ("-9007199254740993", "9007199254740993"),
        (str(INT256_MIN), str(INT256_MAX)),
        (str(INT256_MIN), str(INT256_MIN + 1)),
        (str(10**76 + 123456789), str(INT256_MAX)),
    ],
)
async def test_the_real_model_answers_a_number_of_the_range(
    low: int | str, high: int | str, local_model: LocalBackend
) -> None:
    output = await execute(Number(), local_context(local_model), payload(low, high))
    (number,) = decode(["int256"], output)
    assert int(low) <= number <= int(high)


@pytest.mark.parametrize("number", [INT256_MIN, -(2**128), -1, 0, 1, 255, 256, 2**64, INT256_MAX])
async def test_the_output_is_what_an_abi_decoder_reads(number: int) -> None:
    backend = Written(lambda _: json.dumps({"number": str(number)}))
    output = await execute(
        Number(), written_context(backend), payload(str(INT256_MIN), str(INT256_MAX))
    )
    assert output == encode(["int256"], [number])
    assert backend.asked[0].max_tokens >= len(json.dumps({"number": str(number)}))


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (2, 1, "min is over max"),
        ("0", "-1", "min is over max"),
        (2**53, 2**54, "2.53 - 1 must be a string"),
        (0, -(2**53), "2.53 - 1 must be a string"),
        (0, str(INT256_MAX + 1), "int256"),
        (str(INT256_MIN - 1), 0, "int256"),
        (0, "9" * 78, "string of decimal digits"),
        (0, 1.0, "a bound is an integer"),
        (0, 1.5, "a bound is an integer"),
        (False, True, "a bound is an integer"),
        (None, 1, "a bound is an integer"),
        (0, [1], "a bound is an integer"),
        (0, "", "a bound is an integer"),
        (0, "+1", "a bound is an integer"),
        (0, "01", "a bound is an integer"),
        (0, "-0", "a bound is an integer"),
        (0, "1e3", "a bound is an integer"),
        (0, "0x10", "a bound is an integer"),
        (0, "1_000", "a bound is an integer"),
        (0, " 1", "a bound is an integer"),
        (0, "1\n", "a bound is an integer"),
        (0, "\u0661", "a bound is an integer"),
        (0, "\uff11", "a bound is an integer"),
    ],
)
async def test_bounds_that_are_none_are_refused(low: object, high: object, why: str) -> None:
    with pytest.raises(Refuse, match=why):
        Number().decode(payload(low, high))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"number": "11"}', "out of range"),
        ('{"number": "-1"}', "out of range"),
        ('{"number": "' + "9" * 77 + '"}', "out of range"),
        ('{"number": "' + "9" * 4000 + '"}', "no number"),
        ('{"number": 5}', "no number"),
        ('{"number": "5.0"}', "no number"),
        ('{"number": "05"}', "no number"),
        ('{"number": "five"}', "no number"),
        ('{"number": "\u0665"}', "no number"),
        ('{"number": "5", "or": "6"}', "no number"),
        ('{"number": null}', "no number"),
        ('"5"', "no number"),
        ("5", "no number"),
        ("{}", "no number"),
    ],
)
async def test_an_engine_that_does_not_hold_to_the_range_is_refused(answer: str, why: str) -> None:
    with pytest.raises(Refuse, match=why):
        await execute(Number(), written_context(Written(lambda _: answer)), payload(0, 10))


# The pattern


async def test_a_pattern_matches_exactly_the_numbers_of_its_range() -> None:
    texts = {number: str(number) for number in range(-130, 1130)}
    edges = [-123, -100, -99, -11, -10, -9, -1, 0, 1, 5, 9, 10, 11, 19, 20, 99, 100, 101, 999, 1000]
    for low in edges:
        for high in edges:
            if low <= high:
                pattern = re.compile(pattern_between(low, high))
                matched = {number for number, text in texts.items() if pattern.fullmatch(text)}
                assert matched == set(range(low, high + 1)), (low, high)
                assert not [t for t in ("-0", "00", "01", "-01", "", "-", "+1") if pattern.match(t)]


async def test_a_pattern_of_large_numbers_ends_where_they_end() -> None:
    source = random.Random(1)
    for _ in range(300):
        size = source.randint(1, 255)
        low, high = sorted(source.randrange(-(1 << size), 1 << size) for _ in range(2))
        pattern = re.compile(pattern_between(low, high))
        inside = [low, high, (low + high) // 2, source.randint(low, high)]
        assert all(pattern.fullmatch(str(number)) for number in inside)
        outside = [low - 1, high + 1, low - source.randrange(1, 10**9), high * 10 + (high > 0) * 10]
        outside = [number for number in outside if not low <= number <= high]
        assert not [number for number in outside if pattern.fullmatch(str(number))]


async def test_the_largest_pattern_fits_into_a_schema() -> None:
    source = random.Random(2)
    for _ in range(100):
        low, high = source.randrange(INT256_MIN, 0), source.randrange(INT256_MAX)
        assert len(pattern_between(low, high)) < 8 << 10
