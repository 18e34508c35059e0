"""Rescoring on llama.cpp's server: bounds, and a server that does not keep to its protocol."""

from typing import Any

import msgspec
import pytest

from support.scripted import GOOD as ANSWER
from support.scripted import Request, Script, response, scripted, sending
from vagus.compute import Completion, Message, Model
from vagus.compute.backends.local import LocalBackend
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.rescoring import rescore
from vagus.protocol import Refuse, Retry

HELLO = (Message("user", "Hello"),)


def asked(**changes: Any) -> Completion:
    return Completion(**{"model": Model("m"), "messages": HELLO, "max_tokens": 4, **changes})


GOOD: dict[str, Any] = {
    "/apply-template": {"prompt": "<user>Hello"},
    "/tokenize": {"tokens": [1, 2, 3]},
    "/props": {"eos_token": "<end>"},
    "/completion": {"completion_probabilities": [{"top_logprobs": [{"id": 7, "logprob": -1.0}]}]},
    "/detokenize": {"content": "hi"},
}


def serving(**changes: Any) -> Script:
    """Script: llama.cpp's answers, with some of them changed."""
    answers = {**GOOD, **{"/" + name.replace("_", "-"): body for name, body in changes.items()}}

    async def script(request: Request) -> None:
        await request.send(response(answers[request.line.split()[1]]))

    return script


async def rescored(script: Script, tokens: list[int], timeout: float = 20, **changes: Any) -> Any:
    async with scripted(script) as server, ChatClient(Endpoint(server.base_url)) as client:
        return await rescore(client, asked(**changes), tokens, timeout=timeout)


async def test_a_server_that_keeps_to_its_protocol_is_understood() -> None:
    found = await rescored(serving(), [7])
    assert (found.text, found.gaps, found.prompt, found.ended) == ("hi", (0.0,), 3, False)
    gap = [{"top_logprobs": [{"id": 9, "logprob": -0.5}, {"id": 7, "logprob": -2.0}]}]
    found = await rescored(serving(completion={"completion_probabilities": gap}), [7, 7])
    assert found.gaps == (1.5, 1.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"apply_template": {"prompt": 1}},
        {"apply_template": b"[" * 5000},
        {"tokenize": {"tokens": [-1]}},
        {"tokenize": {"tokens": ["1"]}},
        {"props": {}},
        {"completion": {"completion_probabilities": []}},
        {"completion": {"completion_probabilities": [{"top_logprobs": []}]}},
        {"completion": {"completion_probabilities": [{"top_logprobs": [{"id": 7}]}]}},
        {
            "completion": b'{"completion_probabilities": [{"top_logprobs": [{"id":7,"logprob":NaN}]}]}'
        },
        {"completion": b"x" * (1 << 20)},
        {"detokenize": {"content": None}},
        {"detokenize": b"\xff"},
    ],
)
async def test_a_server_that_does_not_is_a_retry(changes: dict[str, Any]) -> None:
    with pytest.raises(Retry):
        await rescored(serving(**changes), [7])


async def test_a_server_that_hangs_is_a_retry() -> None:
    async def script(request: Request) -> None:
        await request.gone()

    with pytest.raises(Retry, match="took too long"):
        await rescored(script, [7], timeout=0.2)


@pytest.mark.parametrize(
    ("tokens", "changes", "why"),
    [
        ([], {}, "0 tokens was not asked for"),
        ([7] * 5, {}, "5 tokens was not asked for"),
        ([7], {"temperature": 0.5}, "temperature 0"),
        ([7], {"schema": {"type": "object"}}, "schema"),
        ([7], {"stop": ("a",)}, "stop texts"),
        ([8], {}, "none of the 64 likeliest"),
    ],
)
async def test_what_is_no_answer_to_the_request_is_refused(
    tokens: list[int], changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        await rescored(serving(), tokens, **changes)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-compute")
async def test_an_answer_that_goes_on_after_its_end_is_refused(local_model: LocalBackend) -> None:
    (model,) = await local_model.models()
    request = asked(model=model, messages=(Message("user", "What is 2+2?"),), max_tokens=24)
    answer = await local_model.complete(msgspec.structs.replace(request, ids=True), timeout=60)
    assert answer.finish_reason == "stop"
    tokens = answer.ids
    assert (await local_model.rescore(request, tokens, timeout=60)).ended
    # What the model would write after its end is the start of the next turn's mark.
    with pytest.raises(Refuse, match="after its end"):
        await local_model.rescore(request, [*tokens, 198], timeout=60)


@pytest.mark.parametrize(
    ("told", "ids"),
    [
        ({"__verbose": {"tokens": [5, 6]}}, (5, 6)),
        ({"choices": [{**ANSWER["choices"][0], "token_ids": [7, 8]}]}, (7, 8)),
        ({"__verbose": {}}, ()),
        ({}, ()),
    ],
)
async def test_token_ids_are_read_as_llama_cpp_and_vllm_tell_them(
    told: dict[str, Any], ids: tuple[int, ...]
) -> None:
    script = sending(response({**ANSWER, **told}))
    async with scripted(script) as server, ChatClient(Endpoint(server.base_url)) as client:
        answer = await client.complete(asked(ids=True), "served", timeout=20)
    assert answer.ids == ids
