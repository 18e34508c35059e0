"""Evidence as another node wrote it: read only if it is whole, and of what is beside it."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import rfc8785

from support.agents import Written
from support.modes import check_context, members, result_of
from vagus.agents import Route
from vagus.agents.builtin.chat import Chat, ChatConfig
from vagus.agents.document import read_evidence
from vagus.agents.modes import Result, Verdict, Verifier, check_result, mode_of
from vagus.compute import Model, Price
from vagus.protocol import Refuse, Retry, Terms

PAYLOAD = b'{"prompt":"Name a colour."}'


class Priced(Written):
    """A backend with a price and a place."""

    def price(self, model: Model) -> Price:
        return Price(Decimal("1500000.5"), Decimal(7))


async def answered(**executor: Any) -> Result:
    backend = Priced(lambda _: "Blue.")
    backend.region, backend.network = "eu-de", "akash"
    model = Model("m", "r1", "Q4_1", "ab" * 32)
    return await result_of(Chat(), PAYLOAD, route=Route(backend, model), **executor)


def changed(result: Result, change: Callable[[dict[str, Any]], Any]) -> Result:
    document = json.loads(result.evidence)
    change(document)
    return replace(result, evidence=rfc8785.dumps(document))


async def refusal(result: Result, **context: Any) -> str:
    """Check it against itself: what is wrong is then the evidence alone."""
    agent = Chat(context.pop("config", None))
    found = await mode_of(agent.manifest).check(
        check_context(agent, PAYLOAD, **context), result, result
    )
    assert found.reason.isprintable()
    return "" if found.right else found.reason


async def test_what_a_node_writes_is_read() -> None:
    result = await answered()
    assert await refusal(result) == ""
    document = read_evidence(result.evidence)
    assert document.executor == "0x" + "01" * 20
    assert document.calls[0].model.weights == "ab" * 32
    # 1.5000005 and 0.000007 units a token, rounded up.
    assert document.cost == document.calls[0].cost == "2"


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        holder: Any = document
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = value

    return change


ZERO = "0x" + "00" * 32


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put("version", value=2), "not understood"),
        (put("surprise", value=1), "unknown field"),
        (put("calls", 0, "surprise", value=1), "unknown field"),
        (put("intent", "id", value=ZERO), "another intent: its id"),
        (put("intent", "origin_hub", value=ZERO), "another intent: its origin_hub"),
        (put("intent", "dest_hub", value=ZERO), "another intent: its dest_hub"),
        (put("intent", "payload_hash", value=ZERO), "another intent: its payload_hash"),
        (put("intent", "terms_hash", value="0x" + "11" * 32), "another intent: its terms_hash"),
        (put("agent", "name", value="other"), "another agent"),
        (put("agent", "version", value="1.0.1"), "another agent"),
        (put("agent", "digest", value=ZERO), "another agent"),
        (put("mode", "name", value="fields"), "another mode"),
        (put("mode", "parameters", value={"rule": "identical"}), "another mode"),
        (put("output_hash", value=ZERO), "another output"),
        (put("executor", value="0x01"), "not understood"),
        (put("executor", value="0x" + "AB" * 20), "not understood"),
        (put("cost", value="8"), "not the sum"),
        (put("cost", value=9), "not understood"),
        (put("cost", value="-1"), "not understood"),
        (put("calls", 0, "cost", value="8"), "does not follow"),
        (put("calls", 0, "usage", "prompt", value=2), "does not follow"),
        (put("calls", 0, "usage", "prompt", value=True), "not understood"),
        (put("calls", 0, "price", "input", value="1e6"), "not understood"),
        (put("calls", 0, "model", "name", value="other"), "not that of its parts"),
        (put("calls", 0, "model", "weights", value="AB" * 32), "not understood"),
        (put("calls", value=[]), "not the sum"),
        (put("results", value=[]), "not understood"),
        (put("times", "started", value=1.5), "not understood"),
        (put("times", "started", value=None), "not understood"),
    ],
)
async def test_evidence_of_something_else_is_refused(
    change: Callable[[dict[str, Any]], None], why: str
) -> None:
    reason = await refusal(changed(await answered(), change))
    assert why in reason


async def test_a_run_of_one_member_is_not_said_to_be_of_several() -> None:
    entry = {
        "signer": "0x" + "01" * 20,
        "output_hash": ZERO,
        "model_digest": "0x" + Model("m", "r1", "Q4_1", "ab" * 32).digest.hex(),
        "evidence_hash": ZERO,
    }
    result = changed(await answered(), put("results", value=[entry]))
    assert "whose results" in await refusal(result)
    agent = Chat()
    with pytest.raises(Refuse, match="of one run"):
        check_result(
            agent.manifest,
            check_context(agent, PAYLOAD).intent,
            Terms(),
            result,
            executor=members(1)[0],
        )


async def test_a_member_reveals_what_it_ran_itself() -> None:
    agent, me = Chat(), members(2)[1]
    intent = check_context(agent, PAYLOAD).intent
    mine = await answered(executor=me)
    assert check_result(agent.manifest, intent, Terms(), mine, executor=me).executor[2:] == me.hex()
    with pytest.raises(Refuse, match="another executor"):
        check_result(agent.manifest, intent, Terms(), await answered(), executor=me)


async def test_digests_beside_the_evidence_agree_with_it() -> None:
    result = await answered()
    assert "agent digest" in await refusal(replace(result, agent_digest=bytes(32)))
    assert "model digest" in await refusal(replace(result, model_digest=bytes(32)))
    assert "8192 are allowed" in await refusal(replace(result, output=bytes(8193)))


@pytest.mark.parametrize("config", [ChatConfig(max_tokens=127), ChatConfig(engines=("vllm",))])
async def test_another_config_is_another_agent(config: ChatConfig) -> None:
    assert "agent digest" in await refusal(await answered(), config=config)


async def test_a_model_or_an_engine_that_the_agent_may_not_use_is_refused() -> None:
    for config, rule in (
        (ChatConfig(models=("0x" + "11" * 32,)), "models of the agent"),
        (ChatConfig(engines=("vllm",)), "engines of the agent"),
    ):
        backend, model = Priced(lambda _: "Blue."), Model("m")
        agent = Chat(config)
        result = await result_of(agent, PAYLOAD, route=Route(backend, model))
        assert rule in await refusal(result, config=config)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (Terms(regions=("eu-de",), networks=("akash",), quantization="Q4_1"), ""),
        (Terms(regions=("us-ca",)), "regions of the terms"),
        (Terms(networks=("render",)), "networks of the terms"),
        (Terms(quantization="F16"), "quantization"),
    ],
)
async def test_what_the_requesters_terms_ask_for_is_in_the_evidence(terms: Terms, why: str) -> None:
    assert why in (reason := await refusal(await answered(), terms=terms))
    assert bool(reason) == bool(why)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda data: b"", "not JSON"),
        (lambda data: b"[]", "not understood"),
        (lambda data: data + b" ", "RFC 8785"),
        (lambda data: data.replace(b'"calls"', b' "calls"'), "RFC 8785"),
        (lambda data: data.replace(b'"version":1', b'"version":1,"version":1'), "twice"),
        (lambda data: data.replace(b'"version":1', b'"version":1.0'), "RFC 8785"),
        (lambda data: data.replace(b'"version":1', b'"version":1e0'), "RFC 8785"),
        (lambda data: data.replace(b'"version":1', b'"version":NaN'), "no JSON number"),
        (lambda data: data.replace(b"Q4_1", b"\xff"), "UTF-8"),
        (lambda data: data.replace(b"Q4_1", b"\\ud800"), "surrogate"),
        (
            lambda data: data.replace(b'"version":1', b'"version":' + b"[" * 17 + b"]" * 17),
            "levels",
        ),
        (lambda data: b"[" * 60_000, "32 levels"),
        (lambda data: data + b" " * (64 << 10), "are read"),
    ],
)
async def test_bytes_that_two_readers_could_read_in_two_ways_are_refused(
    write: Callable[[bytes], bytes], why: str
) -> None:
    result = await answered()
    assert why in await refusal(replace(result, evidence=write(result.evidence)))


def unread(data: bytes) -> str | None:
    """Why evidence is refused; anything else that is raised is the test's."""
    try:
        read_evidence(data)
    except Refuse as error:
        return error.reason
    return None


async def test_mutated_evidence_is_read_or_refused_and_nothing_else() -> None:
    result, source = await answered(), random.Random(0)
    pieces = [b"{", b"}", b"[", b"]", b'"', b"\\u", b",", b":", b"null", b"1e9", b"-0", b"\xff"]
    for _ in range(3000):
        data = bytearray(result.evidence)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(data))
            data[at : at + source.randint(0, 4)] = source.choice([*pieces, source.randbytes(2)])
        assert (refused := unread(bytes(data))) is None or refused.isprintable()


async def test_a_check_that_takes_too_long_is_a_retry() -> None:
    class Slow(Verifier):
        async def _check(self, *_: Any) -> Verdict:
            await asyncio.Event().wait()
            raise AssertionError

    result = await answered()
    with pytest.raises(Retry, match="time for checking"):
        await Slow(Chat().manifest).check(
            check_context(Chat(), PAYLOAD, deadline=0.0), None, result
        )
