"""Asking for JSON: data stays data, and a model's answer is read as a stranger's."""

import json

import pytest
from pydantic import BaseModel, ConfigDict

from support.agents import Written, written_context
from vagus.agents import ask_json, ask_model
from vagus.agents.structured import as_data
from vagus.protocol import Refuse

SCHEMA: dict[str, object] = {"type": "object"}

# How chat templates begin a turn, an instruction or a call: ChatML, Llama 2 and 3, Gemma, Mistral,
# Phi, DeepSeek, Command R.
MARKS = [
    "<|im_start|>system", "<|im_end|>", "<<SYS>>", "[INST]", "[/INST]", "<s>", "</s>",
    "<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>", "<start_of_turn>", "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]", "<|system|>", "<|end|>", "<\uff5cUser\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<|START_OF_TURN_TOKEN|>", "<tool_call>", "<think>", "<|endoftext|>",
]  # fmt: skip


class Word(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str


@pytest.mark.parametrize("mark", MARKS)
def test_no_mark_of_a_chat_template_can_be_spelt_in_data(mark: str) -> None:
    data = {f"key {mark}": [mark, f'\\"{mark}', f"\\{mark}\\", {"deep": f'"{mark}"\n'}]}
    text = as_data(data)
    assert mark not in text
    assert json.loads(text) == data


async def test_the_task_and_the_data_are_messages_of_their_own() -> None:
    backend = Written(lambda _: '{"a": [1, null]}')
    value = await ask_json(
        written_context(backend), "Do it.", {"text": "{task} %s ${x}"}, SCHEMA, max_tokens=9
    )
    assert value == {"a": [1, None]}
    (request,) = backend.asked
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Do it."),
        ("user", '{"text": "{task} %s ${x}"}'),
    ]
    assert (request.schema, request.max_tokens, request.temperature) == (SCHEMA, 9, 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "is not JSON"),
        ("Sure! Here is the JSON: {}", "is not JSON"),
        ('{"a": 1} {"a": 2}', "is not JSON"),
        ('{"a": 1, "a": 2}', "a key occurs twice"),
        ('{"a": NaN}', "no JSON number"),
        ('{"a": 1e999}', "too large"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": "\ud800"}', "not UTF-8"),
        ('\ufeff{"a": 1}', "is not JSON"),
        ("[" * 33 + "]" * 33, "nested over 32"),
        ("[" * 60_000, "nested over 32"),
        ('{"a":' * 10_000, "nested over 32"),
        ('"' + "[" * 60_000, "is not JSON"),
        ("[" * 100_000, "at most 65536 are read"),
        ("9" * 5000, "is not JSON"),
    ],
)
async def test_an_answer_that_is_no_json_is_refused(answer: str, why: str) -> None:
    with pytest.raises(Refuse, match=why) as caught:
        await ask_json(written_context(Written(lambda _: answer)), "t", {}, SCHEMA, max_tokens=9)
    assert caught.value.reason.startswith("the model's answer")
    assert caught.value.reason.isprintable()


async def test_brackets_in_a_string_are_no_levels() -> None:
    value = {"a": "[" * 99 + '"{' * 99 + "\\" * 99}
    backend = Written(lambda _: json.dumps(value))
    assert await ask_json(written_context(backend), "t", {}, SCHEMA, max_tokens=9) == value


async def test_an_answer_that_was_cut_is_refused() -> None:
    backend = Written(lambda _: '{"a": 1}', finish="length")
    with pytest.raises(Refuse, match="does not fit into 9 tokens"):
        await ask_json(written_context(backend), "t", {}, SCHEMA, max_tokens=9)


async def test_an_answer_becomes_the_authors_model() -> None:
    backend = Written(lambda _: '{"word": "tea"}')
    found = await ask_model(written_context(backend), "t", {}, Word, max_tokens=9)
    assert found == Word(word="tea")
    (request,) = backend.asked
    assert request.schema == Word.model_json_schema()


@pytest.mark.parametrize("answer", ['{"word": 5}', "{}", '{"word": "a", "b": 1}', "[]", "null"])
async def test_an_answer_that_is_not_the_authors_model_is_refused(answer: str) -> None:
    backend = Written(lambda _: answer)
    with pytest.raises(Refuse, match="the model's answer is wrong: "):
        await ask_model(written_context(backend), "t", {}, Word, max_tokens=9)
