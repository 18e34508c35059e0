"""Which backends a node's runs go to, what they leave behind, and what a committee makes of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from coincurve import PrivateKey

from support.agents import Written
from support.pipelines import Node, Pauses, two_chains
from support.scripted import GOOD, Scripted, response, scripted, sending
from vagus.agents import AgentRegistry, Context, Policy
from vagus.compute import Backend, Barred, Message, Model, PriceConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.routing import Router
from vagus.daemon import execute
from vagus.daemon.execute import Executor
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.routes import Routes
from vagus.daemon.work import IntentWork
from vagus.protocol import Refuse, Retry, Status

KEY = PrivateKey(b"\x05" * 32)
DOWN = response(b"{}", status="503 Service Unavailable")


@pytest.fixture
async def second() -> AsyncIterator[Scripted]:
    async with scripted(sending(response(GOOD))) as served:
        yield served


@contextlib.asynccontextmanager
async def node_of(
    folder: Path, first: Scripted, *others: OpenAIConfig, **more: Any
) -> AsyncIterator[Node]:
    async with two_chains(KEY) as (a, b):
        node = Node(folder, first.base_url, KEY, a, b, others=others, router=Router(), **more)
        async with node.start():
            yield node


def another(model: Scripted, **more: Any) -> OpenAIConfig:
    return OpenAIConfig(
        name="second",
        base_url=model.base_url,
        models=(ModelConfig(name="m"),),
        price=PriceConfig(input=Decimal(1000), output=Decimal(1000)),
        **more,
    )


async def evidence(node: Node, record: IntentRecord) -> dict[str, Any]:
    assert record.attestation is not None
    data = await node.journal.evidence(record.attestation.evidence_hash)
    assert data is not None
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


async def test_a_call_moves_on_and_the_evidence_says_who_answered_at_what_price(
    tmp_path: Path, model: Scripted, second: Scripted, pauses: Pauses
) -> None:
    model.script = sending(DOWN)
    async with node_of(tmp_path, model, another(second)) as node:
        record = await node.ask()
        await node.carry(record)
        assert (record.status, record.backend, pauses) == (Status.FULFILLED, "scripted/m", [])
        [call] = (await evidence(node, record))["calls"]
        assert (call["backend"], call["tries"]) == ("second", 2)
        assert call["price"]["input"] == "1000"
        assert record.cost == int(call["cost"]) > 0


async def test_a_call_that_was_answered_at_once_says_nothing_of_tries(node: Node) -> None:
    record = await node.ask()
    await node.carry(record)
    [call] = (await evidence(node, record))["calls"]
    assert "tries" not in call


async def test_who_is_outside_of_the_terms_is_not_asked_instead(
    tmp_path: Path, model: Scripted, second: Scripted, pauses: Pauses
) -> None:
    model.script = sending(DOWN)
    async with node_of(tmp_path, model, another(second, region="us-east")) as node:
        pauses.then = lambda: node.b.pass_time(300)
        record = await node.ask(terms=b'{"regions":["unknown"]}')
        await node.carry(record)
        assert record.status == Status.FAILED
        assert second.requests == []


async def test_a_restart_keeps_to_the_model_that_was_chosen(
    tmp_path: Path, model: Scripted, second: Scripted, pauses: Pauses
) -> None:
    other = OpenAIConfig(
        name="first-choice", base_url=second.base_url, models=(ModelConfig(name="other"),)
    )
    async with node_of(tmp_path, model) as node:
        record = await node.ask()
        await node.carry_to(record, Stage.ROUTED)
        assert record.backend == "scripted/m"
        node.others = (other,)
        async with node.start():
            [again] = await node.journal.intents(1)
            executor = node.pipeline._executor
            executor.routes = Routes([*executor.routes._backends][::-1])
            route = await executor.route(again, node.b.chain)
            assert route.model.name == "m"


# What a committee decides


async def test_a_backend_whose_answers_are_outvoted_is_quarantined(
    node: Node, second: Scripted
) -> None:
    choice = {"message": {"content": "Lyon"}, "finish_reason": "stop"}
    second.script = sending(response({**GOOD, "choices": [choice]}))
    executor, leader = node.pipeline._executor, b"\x02" * 20
    usable = []
    async with OpenAIBackend(another(second)) as backend:
        # Votes shut out no one who is the last.
        assert executor.router.usable("another", Model("m").digest)
        agents = AgentRegistry({"chat@1": {}})
        other = Executor(
            agents, [backend], Policy(), executor._roster, leader, journal=node.journal
        )
        for agreed in (False, False, True, False, False, False):
            record = await node.ask()
            await node.carry_to(record, Stage.ROUTED)
            work = IntentWork(executor, record, node.b.chain, lambda: 600)
            own = await work.attempt()
            copy = replace(record, route=None)
            theirs = await IntentWork(other, copy, node.b.chain, lambda: 600).attempt()
            verdict = await work.check(own, theirs.outcome, leader, {})
            assert not verdict.right
            work.decided(own.outcome if agreed else theirs.outcome)
            usable.append(executor.router.usable("scripted", Model("m").digest))
    assert usable == [True] * 5 + [False]


async def test_what_was_decided_without_this_nodes_own_run_says_nothing_of_its_backend(
    node: Node,
) -> None:
    executor = node.pipeline._executor
    record = await node.ask()
    await node.carry_to(record, Stage.ROUTED)
    theirs = await IntentWork(executor, record, node.b.chain, lambda: 600).attempt()
    for _ in range(4):
        IntentWork(executor, record, node.b.chain, lambda: 600).decided(theirs.outcome)
    assert executor.router.usable("scripted", Model("m").digest)


# Whom the node knows


class Asked(Written):
    """Says what it serves as a test wants it."""

    def __init__(self, name: str, *words: Exception) -> None:
        super().__init__(lambda _: "x")
        self.name = name
        self.words = list(words)
        self.calls = 0

    async def models(self) -> tuple[Model, ...]:
        self.calls += 1
        if self.words:
            raise self.words.pop(0)
        return await super().models()


async def test_a_backend_that_does_not_say_what_it_serves_keeps_nobody_waiting() -> None:
    silent, well = Asked("silent", Retry("down")), Asked("well")
    routes = Routes([silent, well])
    for _ in range(2):
        assert [each.backend.name for each in await routes.all()] == ["well"]
    assert silent.calls == 1
    assert routes.silent() == [(silent, "down")]


async def test_where_nobody_says_what_it_serves_each_is_asked_each_time() -> None:
    only = Asked("only", Retry("down"), Retry("down"))
    routes = Routes([only])
    for _ in range(2):
        with pytest.raises(Retry, match="down"):
            await routes.all()
    assert [each.backend for each in await routes.all()] == [only]
    assert routes.silent() == []


async def test_a_bar_on_the_only_backend_refuses_no_intent() -> None:
    with pytest.raises(Retry, match="HTTP 401"):
        await Routes([Asked("only", Barred("HTTP 401"))]).all()
    with pytest.raises(Refuse, match="it has none"):
        await Routes([Asked("only", Refuse("it has none"))]).all()


class Clock:
    """Passes the running loop's time at will."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self.passed)


class Growing(Asked):
    """Serves what a test adds to it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.serves = [Model("m")]

    async def models(self) -> tuple[Model, ...]:
        await super().models()
        return tuple(self.serves)


async def test_a_model_that_comes_later_is_known_within_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, backend = Clock(monkeypatch), Growing("growing")
    routes = Routes([backend])
    await routes.all()
    backend.serves.append(Model("new"))
    assert [each.model.name for each in await routes.all()] == ["m"]
    clock.passed += 61
    assert [each.model.name for each in await routes.all()] == ["m", "new"]
    backend.words.append(Retry("down"))
    clock.passed += 61
    assert [each.model.name for each in await routes.all()] == ["m", "new"]
    assert (backend.calls, routes.silent()) == (3, [])


async def test_no_model_is_refused_while_one_has_not_said_what_it_serves(
    node: Node, pauses: Pauses
) -> None:
    executor = node.pipeline._executor
    for word, wanted in ((Retry("down", 5.0), Retry), (Barred("HTTP 401"), Refuse)):
        record = await node.ask(model_digest=Model("elsewhere").digest)
        executor.routes = Routes([*node_backends(executor), Asked("silent", word)])
        with pytest.raises(wanted, match="no backend is left by the pinned model"):
            await executor.route(record, node.b.chain)


def node_backends(executor: Executor) -> list[Backend]:
    return [each for each in executor.routes._backends if each.name != "silent"]


async def test_what_an_answered_call_of_a_failed_run_cost_is_not_spent_again(
    tmp_path: Path, model: Scripted, second: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.script = sending(DOWN)

    async def fails(agent: Any, ctx: Context, payload: bytes, value: Any) -> bytes:
        await ctx.chat([Message("user", "Hello")], max_tokens=16)
        raise Retry("the second step failed")

    monkeypatch.setattr(execute, "execute", fails)
    lost = [0]
    async with node_of(tmp_path, model, another(second)) as node:
        executor, record = node.pipeline._executor, await node.ask()
        await node.carry_to(record, Stage.ROUTED)
        for _ in range(2):
            with pytest.raises(Retry, match="second step"):
                await executor.run(executor.question(record), node.b.chain, 600)
            lost.append(record.spent)
    assert 0 < lost[1] == lost[2] - lost[1]
