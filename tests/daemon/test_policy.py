"""A policy's rules on a node: a refusal names its rule and ends the intent; a member votes by its own."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from support.chain import ScriptedChain
from support.fleet import Scripted as Moving
from support.pipelines import Node, Pauses, two_chains
from support.scripted import Scripted
from vagus.agents import AgentRegistry, Policy
from vagus.agents.policy import Limits
from vagus.compute import Price, PriceConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIConfig
from vagus.daemon.execute import Executor
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.work import IntentWork
from vagus.protocol import EMPTY_HASH, Refuse, Status

KEY = PrivateKey(bytes(31) + b"\x07")


@pytest.fixture
async def chains() -> AsyncIterator[tuple[ScriptedChain, ScriptedChain]]:
    async with two_chains(KEY) as pair:
        yield pair


def node_of(
    folder: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain], **rules: Any
) -> Node:
    paid = OpenAIConfig(
        name="paid",
        network="paid",
        base_url=model.base_url,
        models=(ModelConfig(name="m"),),
        price=PriceConfig(output=Decimal(10**6)),
    )
    policy = Policy.model_validate(rules)
    return Node(folder, model.base_url, KEY, *chains, others=(paid,), policy=policy)


ANY = {"name": "capitals", "words": ["capital of france"]}
LEFT = "no backend is left by "

# Rules of each kind, what is said of them around whose they are, and how often the model is asked.
RULES: list[tuple[dict[str, Any], str, str, int]] = [
    ({"min_fee": 10**15 + 1}, f"maxFee {10**15} is under ", f" min_fee of {10**15 + 1}", 0),
    ({"regions": ["elsewhere"]}, LEFT, " regions", 0),
    ({"networks": ["elsewhere"]}, LEFT, " networks", 0),
    ({"models": ["0x" + "ab" * 32]}, LEFT, " models", 0),
    ({"networks": ["paid"], "max_price": {"output": "999999"}}, LEFT, " maximum price", 0),
    ({"before": [ANY]}, "", " rule 'capitals' refuses the question", 0),
    ({"before": [{**ANY, "networks": ["elsewhere"]}]}, LEFT, " rule 'capitals'", 0),
    ({"after": [{"name": "x", "words": ["PARIS"]}]}, "", " rule 'x' refuses the answer", 1),
]


def test_each_limit_is_tried() -> None:
    assert {key for rules, *_ in RULES for key in rules} == set(Limits.model_fields)
    assert set(Policy.model_fields) - set(Limits.model_fields) == {"agents", "per_agent"}


@pytest.mark.parametrize(
    ("rules", "reason", "asked"),
    [
        *(
            (rules, f"{before}this operator's{after}", asked)
            for rules, before, after, asked in RULES
        ),
        *(
            ({"per_agent": {"chat@1": rules}}, f"{before}this operator's chat@1{after}", asked)
            for rules, before, after, asked in RULES
        ),
        ({"agents": ["page@1"]}, "chat@1 is not among this operator's agents", 0),
    ],
)
async def test_a_refusal_names_its_rule_and_ends_the_intent_on_chain(
    tmp_path: Path,
    model: Scripted,
    chains: tuple[ScriptedChain, ScriptedChain],
    rules: dict[str, Any],
    reason: str,
    asked: int,
) -> None:
    node = node_of(tmp_path, model, chains, **rules)
    async with node.start():
        record = await node.ask()
        await node.carry(record)
    assert (record.stage, record.status) == (Stage.SETTLED, Status.REFUSED)
    assert record.reason == reason
    assert record.receipt is not None
    assert (record.receipt.fee, record.receipt.payouts_hash) == (0, EMPTY_HASH)
    assert len(model.requests) == asked


async def test_a_price_that_rises_over_the_maximum_after_routing_is_not_paid(
    tmp_path: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain]
) -> None:
    moving = Moving("moving")
    moving.network = "moving"
    node = node_of(
        tmp_path, model, chains, networks=["moving"], max_price={"input": "5", "output": "5"}
    )
    node.entered = (moving,)
    moving.unit = Price(Decimal(5), Decimal(5))
    async with node.start():
        record = await node.ask()
        await node.carry_to(record, Stage.ROUTED)
        assert record.backend == "moving/m"
        moving.unit = Price(Decimal(5), Decimal("5.01"))
        await node.carry(record)
    assert (record.stage, record.status) == (Stage.SETTLED, Status.REFUSED)
    assert record.reason == "no backend is left by the maximum price"
    assert (moving.began, model.requests) == ([], [])


async def test_what_no_rule_is_against_is_answered(
    tmp_path: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain], pauses: Pauses
) -> None:
    rules: dict[str, Any] = {
        "before": [{"name": "cards", "data": ["card"]}],
        "after": [{"name": "long", "longer": 5}],
        "per_agent": {"number@1": {"networks": ["elsewhere"]}},
    }
    node = node_of(tmp_path, model, chains, **rules)
    async with node.start():
        record = await node.ask()
        await node.carry(record)
    assert (record.status, record.output) == (Status.FULFILLED, b"Paris")


async def test_a_member_votes_against_an_answer_that_its_own_rules_are_against(
    tmp_path: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain]
) -> None:
    node = node_of(tmp_path, model, chains)
    async with node.start():
        record = await node.ask()
        await node.carry_to(record, Stage.ROUTED)
        own = work_of(node, record, Policy())
        run = await own.attempt()
        assert run.outcome.output == b"Paris"
        signer = node.pipeline._executor.signer
        assert (await own.check(run, run.outcome, signer, {})).right
        strict = Policy.model_validate({"after": [{"name": "cities", "words": ["paris"]}]})
        with pytest.raises(Refuse, match=r"^this operator's rule 'cities' refuses the answer$"):
            await work_of(node, record, strict).check(run, run.outcome, signer, {})


def work_of(node: Node, record: IntentRecord, policy: Policy) -> IntentWork:
    """A member's own part of an intent, by a policy of its own."""
    usual = node.pipeline._executor
    executor = Executor(AgentRegistry({"chat@1": {}}), (), policy, usual._roster, usual.signer)
    return IntentWork(executor, record, "eip155:31338", lambda: 600)
