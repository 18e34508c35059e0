"""What an intent's runs may cost together: journalled before it can be charged, whatever ends a node."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.pipelines import GAS, Node, two_chains
from support.scripted import GOOD, Request, Script, Scripted, response, scripted, sending
from vagus.agents import Policy
from vagus.compute import PriceConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIConfig
from vagus.compute.routing import Router, Tuning
from vagus.daemon.execute import Run
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.protocol import Refuse, Retry, Status

KEY = PrivateKey(b"\x05" * 32)
DOWN = response(b"{}", status="503 Service Unavailable")
# One for each token: GOOD reads 5 and writes 1.
PRICE = PriceConfig(input=Decimal(10**6), output=Decimal(10**6))
COST = 6
TEMPLATE = 1024


class Held:
    """A server that keeps each request until the test lets it go."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    async def __call__(self, request: Request) -> None:
        self.came.set()
        await request.gone()


@contextlib.asynccontextmanager
async def paying(folder: Path, script: Script) -> AsyncIterator[tuple[Node, Scripted]]:
    """A node that may ask one backend alone, which charges for each token; a call is tried once."""
    async with scripted(script) as paid, two_chains(KEY) as (a, b):
        sells = OpenAIConfig(
            name="paid",
            network="paid",
            base_url=paid.base_url,
            models=(ModelConfig(name="m"),),
            price=PRICE,
        )
        policy = Policy(networks=("paid",))
        router = Router(Tuning(tries=1))
        node = Node(folder, paid.base_url, KEY, a, b, others=(sells,), policy=policy, router=router)
        async with node.start():
            yield node, paid


async def run(node: Node, record: IntentRecord) -> Run:
    executor = node.pipeline._executor
    return await executor.run(executor.question(record), node.b.chain, 600)


async def routed(node: Node, spend: int = 10**6) -> IntentRecord:
    """An intent of which so much may be spent on compute: the agent adds nothing to it."""
    record = await node.ask(max_fee=GAS + spend)
    await node.carry_to(record, Stage.ROUTED)
    return record


async def in_journal(node: Node) -> int:
    [record] = await node.journal.intents(1)
    return record.spent


def worst(request: Request) -> int:
    """What a call may cost at most, by hand: a token a byte of the prompt, the template, the answer."""
    asked = json.loads(request.body)
    prompt = sum(len(each["content"].encode()) for each in asked["messages"])
    return prompt + TEMPLATE + int(asked["max_tokens"])


async def test_what_a_call_may_cost_is_in_the_journal_before_it_is_asked(tmp_path: Path) -> None:
    held = Held()
    async with paying(tmp_path, held) as (node, paid):
        record = await routed(node)
        running = asyncio.create_task(run(node, record))
        await held.came.wait()
        assert await in_journal(node) == worst(paid.requests[0])
        running.cancel()
        await asyncio.wait((running,))


async def test_a_node_that_is_killed_in_a_call_does_not_spend_it_again(tmp_path: Path) -> None:
    """The journal's files as they are while the call is under way: what a killed node leaves."""
    held, before, after = Held(), tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    async with paying(before, held) as (node, paid):
        record = await routed(node)
        running = asyncio.create_task(run(node, record))
        await held.came.wait()
        most = worst(paid.requests[0])
        for path in before.glob("journal.sqlite*"):
            shutil.copy(path, after / path.name)
        running.cancel()
        await asyncio.wait((running,))
    async with paying(after, sending(response(GOOD))) as (node, paid):
        [record] = await node.journal.unfinished()
        assert record.spent == most
        # As if its fee had left room for one such call, and for half of another.
        tight = replace(record.intent, max_fee=GAS + most * 3 // 2)
        with pytest.raises(Refuse, match="no backend answers within the budget"):
            await run(node, replace(record, intent=tight))
        assert paid.requests == []


async def test_a_call_that_cost_nothing_leaves_the_whole_budget_after_a_restart(
    tmp_path: Path,
) -> None:
    async with paying(tmp_path, sending(DOWN)) as (node, _):
        record = await routed(node)
        for _ in range(3):
            with pytest.raises(Retry):
                await run(node, record)
            assert (record.spent, await in_journal(node)) == (0, 0)


async def test_runs_that_were_answered_count_together_too(tmp_path: Path) -> None:
    """One whose answer no committee decided, as a set gave way, is run again by the next set."""
    async with paying(tmp_path, sending(response(GOOD))) as (node, paid):
        record = await routed(node)
        spent = []
        for _ in range(2):
            found = await run(node, record)
            assert (found.outcome.status, found.cost) == (Status.FULFILLED, COST)
            spent.append(record.spent)
        assert spent == [COST, 2 * COST]
        assert await in_journal(node) == COST + worst(paid.requests[1])


async def test_nothing_is_asked_while_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with paying(tmp_path, sending(response(GOOD))) as (node, paid):
        record = await routed(node)

        async def full(record: IntentRecord, spent: int) -> None:
            raise Retry("the disk is full", 5.0)

        with monkeypatch.context() as patched:
            patched.setattr(node.journal, "spend", full)
            with pytest.raises(Retry, match="the disk is full"):
                await run(node, record)
        assert paid.requests == []
        assert record.spent == 0
        # It was no fault of the backend's.
        assert (await run(node, record)).outcome.output == b"Paris"


async def test_who_charges_nothing_costs_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(sending(response(GOOD))) as model, two_chains(KEY) as (a, b):
        node = Node(tmp_path, model.base_url, KEY, a, b)
        async with node.start():
            monkeypatch.delattr(type(node.journal), "spend")
            record = await routed(node)
            assert (await run(node, record)).outcome.output == b"Paris"
