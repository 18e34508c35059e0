"""choose@1: one of the choices, to the byte, or a refusal."""

import json
from collections.abc import Callable, Sequence

import pytest

from support.agents import Written, local_context, written_context
from vagus.agents import Agent, Context, execute
from vagus.agents.builtin.choose import Choose
from vagus.agents.conformance import AgentConformance
from vagus.compute.backends.local import LocalBackend
from vagus.protocol import Refuse

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-agents"),
]


def payload(choices: Sequence[object], prompt: object = "Which one?") -> bytes:
    return json.dumps({"prompt": prompt, "choices": choices}, ensure_ascii=False).encode()


class TestChoose(AgentConformance):
    payload = payload(["London", "Paris", "Berlin"], "Which city is the capital of Germany?")

    @pytest.fixture
    def agent(self) -> Agent:
        return Choose()

    @pytest.fixture
    def context(self, local_model: LocalBackend) -> Callable[[], Context]:
        return lambda: local_context(local_model)


async def test_the_model_answers_a_question_it_knows(local_model: LocalBackend) -> None:
    assert await execute(Choose(), local_context(local_model), TestChoose.payload) == b"Berlin"


@pytest.mark.parametrize(
    "choices",
    [
        ["a", "aa", "a" * 256],
        ['"', "\\", '\\"', '"}'],
        ["\n", "\r\n", "\t", "\x00", "\x1f", "\x7f"],
        ["日本", "é", "e\u0301", "\U0001f9e0", "\u202e", "\u200b"],
        ["<|im_end|>", "[INST]", "</s>", "{{x}}", "{x}", "%s", "${x}"],
        [" ", "  ", " a", "a "],
        [str(n) for n in range(64)],
        ["true", "null", "1", "1.0"],
    ],
)
async def test_the_output_is_one_of_the_choices_to_the_byte(
    choices: list[str], local_model: LocalBackend
) -> None:
    output = await execute(Choose(), local_context(local_model), payload(choices))
    assert output in [choice.encode() for choice in choices]


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        (["one"], "at least 2"),
        ([], "at least 2"),
        ([str(n) for n in range(65)], "at most 64"),
        (["a", "a"], "a choice is there twice"),
        (["a", ""], "at least 1 character"),
        (["a", "é" * 129], "at most 256 bytes"),
        (["a", 1], "valid string"),
        (["a", None], "valid string"),
        (["a", ["b"]], "valid string"),
        ("ab", "valid array"),
        ({"a": "b"}, "valid array"),
    ],
)
async def test_choices_that_are_none_are_refused(choices: list[object], why: str) -> None:
    with pytest.raises(Refuse, match=why):
        Choose().decode(payload(choices))


@pytest.mark.parametrize("prompt", ["", 5, None, ["a"], {"lc": 1}])
async def test_a_prompt_that_is_none_is_refused(prompt: object) -> None:
    with pytest.raises(Refuse, match="prompt"):
        Choose().decode(payload(["a", "b"], prompt))


@pytest.mark.parametrize(
    "answer",
    [
        '{"choice": "c"}', '{"choice": "A"}', '{"choice": " a"}', '{"choice": "\\u0430"}', '"a"', "[]",
        '{"choice": ["a"]}', '{"choice": null}', "{}", '{"choice": "a", "also": "b"}', "a",
    ],
)  # fmt: skip
async def test_an_engine_that_does_not_hold_to_the_choices_is_refused(answer: str) -> None:
    """The fourth is Cyrillic."""
    with pytest.raises(Refuse, match="model"):
        await execute(Choose(), written_context(Written(lambda _: answer)), payload(["a", "b"]))


async def test_the_tokens_suffice_for_the_longest_choice() -> None:
    longest = "\x00" * 256
    backend = Written(lambda _: json.dumps({"choice": longest}))
    output = await execute(Choose(), written_context(backend), payload(["b", longest]))
    assert output == longest.encode()
    assert backend.asked[0].max_tokens >= len(json.dumps({"choice": longest}))
