"""chat@1 on the real model: the conformance kit, and what its author promises."""

import asyncio
import json
from collections.abc import Callable

import pytest
from eth_utils import keccak

from vagus.agents import Agent, Budget, Context, Route, evidence, execute
from vagus.agents.builtin.chat import Chat, ChatConfig
from vagus.agents.conformance import AgentConformance
from vagus.compute import Message, Model
from vagus.compute.backends.local import LocalBackend
from vagus.protocol import Intent, Refuse

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-agents"),
]

INTENT = bytes(range(32))
QUESTION = b'{"prompt": "Name the capital of France."}'


def context_for(backend: LocalBackend, model: Model, budget: Budget | None = None) -> Context:
    return Context(
        intent_id=INTENT,
        agent_id="chat@1",
        route=Route(backend, model),
        deadline=asyncio.get_running_loop().time() + 60,
        budget=budget or Budget(),
    )


class TestChat(AgentConformance):
    payload = QUESTION

    @pytest.fixture
    def agent(self) -> Agent:
        return Chat()

    @pytest.fixture
    def context(self, local_model: LocalBackend) -> Callable[[], Context]:
        return lambda: context_for(local_model, local_model._model)


async def test_it_answers_and_the_evidence_says_how(local_model: LocalBackend) -> None:
    chat, ctx = Chat(), context_for(local_model, local_model._model)
    output = await execute(chat, ctx, QUESTION)
    assert b"Paris" in output
    intent = Intent(*(INTENT, 1, *(INTENT,) * 5, 1, INTENT, INTENT, 0, bytes(32), 10**18, 10**9))
    proof = evidence.build(
        intent,
        chat.manifest,
        ctx.calls,
        output,
        executor=b"\x0e" * 20,
        started=1_700_000_000_000,
        finished=1_700_000_001_000,
    )
    document = json.loads(proof.data)
    assert proof.hash == keccak(proof.data)
    again = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert again.encode() == proof.data
    (call,) = document["calls"]
    assert document["intent"]["id"] == "0x" + intent.id.hex()
    assert document["agent"]["digest"] == "0x" + chat.manifest.digest.hex()
    assert document["executor"] == "0x" + "0e" * 20
    assert document["mode"] == {"name": "exact", "parameters": {}}
    assert document["output_hash"] == "0x" + keccak(output).hex()
    assert call["model"]["digest"] == "0x" + local_model._model.digest.hex()
    assert (call["backend"], call["region"], call["network"]) == ("local", "local", "local")
    assert call["engine"].startswith("xllamacpp ")
    assert call["usage"]["completion"] > 0
    assert call["times"]["first"] is None
    assert call["times"]["total"] > 0


async def test_an_answer_ends_at_max_tokens(local_model: LocalBackend) -> None:
    ctx = context_for(local_model, local_model._model)
    await execute(Chat(ChatConfig(max_tokens=3)), ctx, b'{"prompt": "Tell a long story."}')
    assert ctx.calls[0].usage.completion == 3
    assert ctx.calls[0].finish_reason == "length"


async def test_a_prompt_over_the_models_context_is_refused(local_model: LocalBackend) -> None:
    payload = json.dumps({"prompt": "a b " * 2040}).encode()
    with pytest.raises(Refuse, match="HTTP 400"):
        await execute(Chat(), context_for(local_model, local_model._model), payload)


async def test_a_budget_holds_over_several_calls(local_model: LocalBackend) -> None:
    ctx = context_for(local_model, local_model._model, Budget(max_tokens=10))
    hello = [Message("user", "Tell a long story.")]
    await ctx.chat(hello, max_tokens=6)
    with pytest.raises(Refuse, match="budget of 10 tokens"):
        await ctx.chat(hello, max_tokens=6)
    await ctx.chat(hello, max_tokens=4)
    assert sum(call.usage.completion for call in ctx.calls) == 10


@pytest.mark.parametrize(
    "payload",
    [
        b'{"prompt": ""}',
        b'{"prompt": 7}',
        b'{"prompt": ["a"]}',
        b'{"prompt": null}',
        b'{"prompt": {"lc": 1, "type": "secret", "id": ["KEY"]}}',
        b'{"prompt": "a", "temperature": 2}',
        b'{"prompt": "a", "prompt": "b"}',
        b'{"Prompt": "a"}',
        b"{}",
    ],
)
async def test_a_payload_that_is_no_question_is_refused(payload: bytes) -> None:
    with pytest.raises(Refuse, match="payload"):
        Chat().decode(payload)


@pytest.mark.parametrize(
    "text", ["{0.__class__}", "{{7*7}}", "${jndi:x}", "%s%n", "\u202eabc", "\U0001f9e0", "\x00"]
)
async def test_a_prompt_is_data_and_reaches_the_model_unchanged(text: str) -> None:
    payload = json.dumps({"prompt": text}).encode()
    assert Chat().decode(payload).prompt == text
