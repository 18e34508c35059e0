"""The sandboxes that sell tokens, judged by OpenAI's own client; listings as the networks document them."""

import json
from collections.abc import AsyncIterator

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from vagus.compute.sandbox.chat import ScriptedModel
from vagus.compute.sandbox.openai import (
    AkashMLSandbox,
    IonetIntelligenceSandbox,
    TokenSandbox,
)

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
HELLO = [{"role": "user", "content": "What is a bee?"}]


@pytest.fixture(params=[AkashMLSandbox, IonetIntelligenceSandbox])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[TokenSandbox]:
    async with request.param() as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: TokenSandbox) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=sandbox.base_url, api_key=sandbox.api_key, max_retries=0
    ) as client:
        yield client


async def test_its_models_are_listed(client: AsyncOpenAI) -> None:
    models = [model.id async for model in client.models.list()]
    assert LLAMA in models
    assert len(models) == 2


async def test_a_completion_is_one_and_repeats(client: AsyncOpenAI) -> None:
    first, again = [
        await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=8)
        for _ in range(2)
    ]
    choice = first.choices[0]
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"
    assert first.usage.completion_tokens == 8 == len(choice.message.content.split())
    assert first.usage.total_tokens == first.usage.prompt_tokens + 8
    assert choice.message.content == again.choices[0].message.content
    assert first.id != again.id


async def test_a_stream_makes_up_the_same_text(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=8)
    pieces, usage, finish = [], None, None
    stream = await client.chat.completions.create(
        model=LLAMA,
        messages=HELLO,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) == 8
    assert (finish, usage) == ("length", whole.usage)


async def test_without_being_asked_a_stream_has_no_usage(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=LLAMA, messages=HELLO, max_tokens=2, stream=True
    )
    assert [chunk.usage async for chunk in stream if chunk.usage is not None] == []


async def test_probabilities_stops_and_schemas_are_as_asked(client: AsyncOpenAI) -> None:
    scored = await client.chat.completions.create(
        model=LLAMA, messages=HELLO, max_tokens=3, logprobs=True, top_logprobs=2
    )
    tokens = scored.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == scored.choices[0].message.content
    assert [len(token.top_logprobs) for token in tokens] == [2, 2, 2]

    stop = scored.choices[0].message.content.split()[1]
    stopped = await client.chat.completions.create(
        model=LLAMA, messages=HELLO, max_tokens=9, stop=[stop]
    )
    assert stopped.choices[0].finish_reason == "stop"
    assert stop not in stopped.choices[0].message.content

    properties = {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer"}}
    schema = {"name": "answer", "schema": {"type": "object", "properties": properties}}
    held = await client.chat.completions.create(
        model=LLAMA,
        messages=[{"role": "user", "content": "7 bees"}],
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert json.loads(held.choices[0].message.content) == {"colour": "red", "count": 7}


async def test_another_model_answers_otherwise(client: AsyncOpenAI, sandbox: TokenSandbox) -> None:
    asked = {"messages": HELLO, "max_tokens": 12}
    honest = await client.chat.completions.create(model=LLAMA, **asked)
    sandbox.chat.models[LLAMA] = ScriptedModel("some/other-model")
    swapped = await client.chat.completions.create(model=LLAMA, **asked)
    assert swapped.choices[0].message.content != honest.choices[0].message.content


async def test_wrong_keys_models_and_requests_have_the_errors_of_the_api(
    client: AsyncOpenAI, sandbox: TokenSandbox
) -> None:
    stranger = client.with_options(api_key="another")
    with pytest.raises(openai.AuthenticationError):
        await stranger.chat.completions.create(model=LLAMA, messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="no/such", messages=HELLO)
    with pytest.raises(openai.BadRequestError) as long:
        await client.chat.completions.create(
            model=LLAMA, messages=[{"role": "user", "content": "word " * 140_000}]
        )
    assert "context" in long.value.response.text
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=LLAMA, messages=HELLO, temperature=3)
    with pytest.raises(openai.APIStatusError) as large:
        await client.chat.completions.create(
            model=LLAMA, messages=[{"role": "user", "content": "x" * (1 << 20)}]
        )
    assert large.value.status_code == 413


async def test_credit_and_rates_run_out(client: AsyncOpenAI, sandbox: TokenSandbox) -> None:
    sandbox.rate = 1
    await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)
    assert limited.value.response.headers["Retry-After"] == "7"
    sandbox.credit = False
    with pytest.raises(openai.APIStatusError) as broke:
        await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)
    assert broke.value.status_code == 402


@pytest.mark.parametrize("status", [500, 504, 529])
async def test_faults_that_are_switched_on_happen_so_often(
    client: AsyncOpenAI, sandbox: TokenSandbox, status: int
) -> None:
    sandbox.faults.add(path="/chat/completions$", status=status, times=2)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)
        assert failed.value.status_code == status
    await client.models.list()
    await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)


async def test_one_that_disappears_cuts_connections_until_it_is_back(
    client: AsyncOpenAI, sandbox: TokenSandbox
) -> None:
    sandbox.faults.disappear()
    with pytest.raises(openai.APIConnectionError):
        await client.models.list()
    sandbox.faults.clear()
    await client.models.list()


async def test_a_failure_after_the_work_did_the_work(
    client: AsyncOpenAI, sandbox: TokenSandbox
) -> None:
    sandbox.rate = 5
    sandbox.faults.add(path="/chat/completions$", status=500, after_work=True)
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model=LLAMA, messages=HELLO, max_tokens=1)
    assert sandbox.rate == 4


async def test_an_upstream_answers_instead(sandbox: TokenSandbox) -> None:
    async with (
        AkashMLSandbox(models=(ScriptedModel("real", answer="I am the upstream."),)) as real,
        type(sandbox)(upstream=real.base_url) as front,
        AsyncOpenAI(base_url=front.base_url, api_key=front.api_key, max_retries=0) as client,
    ):
        # The upstream has a key of its own, which a front doesn't know.
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="real", messages=HELLO)
        real.authenticate = _anyone  # type: ignore[method-assign]
        found = await client.chat.completions.create(model="real", messages=HELLO)
        assert found.choices[0].message.content == "I am the upstream."
        stream = await client.chat.completions.create(model="real", messages=HELLO, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == "I am the upstream."


async def _anyone(request: object) -> None:
    return


# The listings, by hand from the networks' documentation.


async def test_akashml_lists_prices_as_strings_for_holders_of_a_key() -> None:
    async with AkashMLSandbox() as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.api_key.startswith("akml-")
        assert sandbox.base_url.endswith("/v1")
        async with session.get(f"{sandbox.base_url}/models") as found:
            assert found.status == 401
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        async with session.get(f"{sandbox.base_url}/models", headers=headers) as found:
            listed = await found.json()
    assert listed["object"] == "list"
    assert listed["data"][0]["pricing"] == {
        "input": "0.00000013",
        "output": "0.0000004",
        "request": "0",
    }


async def test_ionet_lists_prices_as_numbers_for_everyone_who_says_what_it_is() -> None:
    async with IonetIntelligenceSandbox() as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.base_url.endswith("/api/v1")
        async with session.get(f"{sandbox.base_url}/models") as found:
            listed = await found.json()
        async with session.get(
            f"{sandbox.base_url}/models", skip_auto_headers=["User-Agent"]
        ) as found:
            assert found.status == 403
    entry = listed["data"][0]
    assert (entry["input_token_price"], entry["output_token_price"]) == (1.2e-07, 3e-07)
    assert entry["context_window"] == 128_000
