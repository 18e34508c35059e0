"""rescoring, on the real local model: what it wrote passes, what another wrote does not."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import pytest_asyncio
import rfc8785

from support.agents import Written
from support.gguf import disturbed
from support.modes import check_context, result_of, said, verifier_of
from vagus.agents import Context, Mode, Route
from vagus.agents.builtin.chat import Chat, ChatInput
from vagus.agents.modes import Result, Verdict, mode_of
from vagus.compute import Message
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.daemon.fetch import model_path
from vagus.protocol import Refuse, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-agents"),
]

PAYLOAD = b'{"prompt":"What is 2+2?"}'
STORY = b'{"prompt":"Tell a long story about the sea."}'
TOKENS = 24


class Free(Chat):
    """The built-in chat, verified by rescoring."""

    mode: ClassVar[Mode] = Mode(name="rescoring")


AGENT = Free(Chat.Config(max_tokens=TOKENS))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def other_model(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalBackend]:
    """The local model with some tensors disturbed."""
    folder = tmp_path_factory.mktemp("disturbed")
    path = disturbed(model_path(), folder / "other.gguf", "ffn_down")
    async with LocalBackend(LocalConfig(model_path=path)) as backend:
        yield backend


async def leads(backend: LocalBackend, payload: bytes = PAYLOAD) -> Result:
    (model,) = await backend.models()
    return await result_of(AGENT, payload, route=Route(backend, model), record=True)


async def follows(
    backend: LocalBackend, proposed: Result, payload: bytes = PAYLOAD, agent: Any = AGENT
) -> Verdict:
    (model,) = await backend.models()
    ctx = check_context(agent, payload, route=Route(backend, model))
    return await mode_of(agent.manifest).check(ctx, None, proposed)


@pytest.mark.parametrize(("payload", "finish"), [(PAYLOAD, "stop"), (STORY, "length")])
async def test_what_the_model_wrote_passes(
    local_model: LocalBackend, payload: bytes, finish: str
) -> None:
    proposed = await leads(local_model, payload)
    (call,) = json.loads(proposed.evidence)["calls"]
    assert call["finish"] == finish
    assert len(call["record"]["tokens"]) == call["usage"]["completion"]
    found = await follows(local_model, proposed, payload)
    assert found == Verdict(True, "this node's model would have written the same", found.measured)
    assert found.measured["tokens"] == call["usage"]["completion"]
    assert float(found.measured["worst"]) < 0.1


@pytest.mark.parametrize("tokens", [24, 25])
async def test_characters_of_several_tokens_pass_also_where_one_is_cut(
    local_model: LocalBackend, tokens: int
) -> None:
    agent = Free(Chat.Config(max_tokens=tokens))
    payload = '{"prompt":"Repeat after me: 🐝🐝🐝🦀"}'.encode()
    (model,) = await local_model.models()
    proposed = await result_of(agent, payload, route=Route(local_model, model), record=True)
    assert proposed.output.decode() == "🐝" * 8
    assert (await follows(local_model, proposed, payload, agent)).right


def claimed(result: Result, change: Callable[[dict[str, Any]], None]) -> Result:
    """The result with another story about its only call."""
    document = json.loads(result.evidence)
    change(document["calls"][0])
    return replace(result, evidence=rfc8785.dumps(document))


async def test_what_another_model_wrote_does_not(
    local_model: LocalBackend, other_model: LocalBackend
) -> None:
    (true,), (other,) = await local_model.models(), await other_model.models()
    proposed = await leads(other_model, STORY)
    assert "does not ask" in (await follows(local_model, proposed, STORY)).reason

    def swap(call: dict[str, Any]) -> None:
        assert call["model"]["digest"] == "0x" + other.digest.hex()
        call["model"].update(weights=true.weights, digest="0x" + true.digest.hex())

    swapped = replace(claimed(proposed, swap), model_digest=true.digest)
    found = await follows(local_model, swapped, STORY)
    assert not found.right
    assert found.reason in {
        "this node's model would not have written that",
        "a token of the answer is none of the 64 likeliest",
    }


def put(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(call: dict[str, Any]) -> None:
        tokens = call["record"]["tokens"]
        for name, value in changes.items():
            made = value(tokens) if callable(value) else value
            holder = call["record"] if name in {"tokens", "index"} else call
            holder[name] = made
        call["usage"]["completion"] = len(call["record"]["tokens"])

    return change


UNLIKELY = 40_000


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put(tokens=lambda t: [UNLIKELY, *t[1:]]), "none of the 64 likeliest"),
        (put(tokens=lambda t: [*t[:4], UNLIKELY, *t[5:]]), "none of the 64 likeliest"),
        (put(tokens=lambda t: t[:-1]), "ends where its tokens do not"),
        (put(tokens=lambda t: t[:-1], finish="length"), "ends where its tokens do not"),
        (put(tokens=lambda t: [*t[:3], t[-1]]), "64 likeliest|would not have written"),
        (put(tokens=lambda t: [*t, t[0]]), "64 likeliest|after its end|ends where"),
        (put(tokens=lambda t: [1 << 30, *t[1:]]), "none of the 64 likeliest"),
        (put(tokens=lambda t: [*t[:-1], 1 << 30]), "none of the 64 likeliest"),
        (put(tokens=lambda t: [t[0]] * (TOKENS + 1)), "was not asked for"),
        (put(tokens=[]), "not understood"),
        (put(tokens=[-1]), "not understood"),
        (put(index=1), "something that the evidence does not have"),
        (put(finish="length"), "ends where its tokens do not"),
    ],
)
async def test_tokens_that_the_model_would_not_have_written_are_told(
    local_model: LocalBackend, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    found = await follows(local_model, claimed(await leads(local_model), change))
    assert not found.right
    assert any(each in found.reason for each in why.split("|")), found.reason


async def test_the_tokens_are_those_of_the_output(local_model: LocalBackend) -> None:
    true = await leads(local_model)
    output = b"Five."
    document = json.loads(true.evidence)
    document["output_hash"] = "0x" + keccak256(output).hex()
    lied = replace(true, output=output, evidence=rfc8785.dumps(document))
    assert (await follows(local_model, lied)).reason == (
        "the agent's output on the recorded answers is another"
    )


async def test_the_tokens_are_those_of_the_agents_own_question(local_model: LocalBackend) -> None:
    """A leader that asked its model something else has tokens that don't follow."""
    other = await leads(local_model, STORY)
    document = json.loads((await leads(local_model)).evidence)
    document["calls"][0].update(
        {key: json.loads(other.evidence)["calls"][0][key] for key in ("record", "finish")}
    )
    document["calls"][0]["usage"]["completion"] = TOKENS
    document["output_hash"] = "0x" + keccak256(other.output).hex()
    lied = replace(other, evidence=rfc8785.dumps(document))
    assert not (await follows(local_model, lied)).right


async def test_tokens_are_paid_for_as_they_are_counted(local_model: LocalBackend) -> None:
    def more(call: dict[str, Any]) -> None:
        call["usage"]["prompt"] += 1

    found = await follows(local_model, claimed(await leads(local_model), more))
    assert found.reason == "the evidence counts other tokens than the answer has"


async def test_each_call_of_the_evidence_is_one_that_the_agent_makes(
    local_model: LocalBackend,
) -> None:
    document = json.loads((true := await leads(local_model)).evidence)
    twice = json.loads(json.dumps(document["calls"][0]))
    document["calls"].append(twice)
    same = replace(true, evidence=rfc8785.dumps(document))
    assert "the same place" in (await follows(local_model, same)).reason
    twice["record"]["index"] = 1
    more = replace(true, evidence=rfc8785.dumps(document))
    assert "1 calls that the agent does not make" in (await follows(local_model, more)).reason
    document["calls"] = document["calls"][:1]
    del document["calls"][0]["record"]
    none = replace(true, evidence=rfc8785.dumps(document))
    assert "does not record" in (await follows(local_model, none)).reason


class Twice(Free):
    """Asks twice, and answers whatever happens."""

    name = "twice"

    async def run(self, ctx: Context, question: ChatInput, /) -> str:
        texts = []
        for prompt in (question.prompt, "What is 3+3?"):
            try:
                answer = await ctx.chat([Message("user", prompt)], max_tokens=TOKENS)
            except Refuse:
                return "caught"
            texts.append(answer.text)
        return "\n".join(texts)


async def test_every_answer_of_a_run_is_read_again(local_model: LocalBackend) -> None:
    agent = Twice()
    (model,) = await local_model.models()
    true = await result_of(agent, PAYLOAD, route=Route(local_model, model), record=True)
    assert (await follows(local_model, true, agent=agent)).right
    document = json.loads(true.evidence)
    document["calls"][1]["record"]["tokens"][0] = UNLIKELY
    document["output_hash"] = "0x" + keccak256(b"caught").hex()
    lied = replace(true, output=b"caught", evidence=rfc8785.dumps(document))
    found = await follows(local_model, lied, agent=agent)
    assert (found.right, "64 likeliest" in found.reason) == (False, True)


class Shaped(Free):
    """Holds its model to a schema, whose tokens are not the model's choice."""

    name = "shaped"

    async def run(self, ctx: Context, question: ChatInput, /) -> str:
        schema: dict[str, object] = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}
        messages = [Message("user", question.prompt)]
        return (await ctx.chat(messages, max_tokens=TOKENS, schema=schema)).text


async def test_an_answer_held_to_a_schema_is_not_rescored(local_model: LocalBackend) -> None:
    agent = Shaped()
    (model,) = await local_model.models()
    result = await result_of(agent, PAYLOAD, route=Route(local_model, model), record=True)
    found = await follows(local_model, result, agent=agent)
    assert (found.right, "without a schema" in found.reason) == (False, True)


async def test_a_streamed_answer_is_recorded_as_well(local_model: LocalBackend) -> None:
    class Streamed(Free):
        name = "streamed"

        async def run(self, ctx: Context, question: ChatInput, /) -> str:
            pieces = [
                piece
                async for piece in ctx.stream([Message("user", question.prompt)], max_tokens=TOKENS)
            ]
            assert all(piece.tokens == () for piece in pieces)
            return pieces[-1].text

    agent = Streamed()
    (model,) = await local_model.models()
    result = await result_of(agent, PAYLOAD, route=Route(local_model, model), record=True)
    assert (await follows(local_model, result, agent=agent)).right


async def test_a_node_that_cannot_rescore_says_so_at_start(local_model: LocalBackend) -> None:
    verifier = mode_of(AGENT.manifest)
    verifier.require([Written(lambda _: ""), local_model])
    with pytest.raises(Refuse, match="no backend here can"):
        verifier.require([Written(lambda _: "")])


async def test_a_node_without_the_model_cannot_tell(local_model: LocalBackend) -> None:
    proposed = await leads(local_model)
    ctx = check_context(AGENT, PAYLOAD)
    found = await mode_of(AGENT.manifest).check(ctx, None, proposed)
    assert (found.right, found.reason) == (False, "this node has no model to check the answer by")


async def test_a_run_that_asks_nothing_has_nothing_to_rescore(local_model: LocalBackend) -> None:
    agent = said(str, "rescoring")
    found = await follows(local_model, await result_of(agent, b"hello"), b"hello", agent)
    assert (found.right, "nothing to rescore" in found.reason) == (False, True)


@pytest.mark.parametrize("value", ["", "-1", "1e3", "a half", "0,5", ".5"])
async def test_thresholds_are_decimal_digits(value: str) -> None:
    with pytest.raises(Refuse, match="'mean': it must be decimal digits"):
        verifier_of(str, "rescoring", mean=value)


async def test_the_agent_sees_no_token_that_it_did_not_ask_for(local_model: LocalBackend) -> None:
    (model,) = await local_model.models()

    class Watching(Free):
        name = "watching"

        async def run(self, ctx: Context, question: ChatInput, /) -> str:
            answer = await ctx.chat([Message("user", question.prompt)], max_tokens=4)
            assert answer.tokens == ()
            assert ctx.calls[0].record is not None
            return answer.text

    await result_of(Watching(), PAYLOAD, route=Route(local_model, model), record=True)
