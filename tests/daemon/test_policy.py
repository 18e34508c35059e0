"""A policy's rules on a node: a refusal names its rule and ends the intent; a member votes by its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from support.chain import ScriptedChain
from support.pipelines import Node, Pauses, two_chains
from support.scripted import Scripted
from vagus.agents import AgentRegistry, Policy
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
    return Node(folder, model.base_url, KEY, *chains, policy=Policy.model_validate(rules))


ANY = {"name": "capitals", "words": ["capital of france"]}


@pytest.mark.parametrize(
    ("rules", "reason", "asked"),
    [
        ({"before": [ANY]}, "this operator's rule 'capitals' refuses the question", 0),
        (
            {"per_agent": {"chat@1": {"before": [ANY]}}},
            "this operator's chat@1 rule 'capitals' refuses the question",
            0,
        ),
        (
            {"before": [{**ANY, "networks": ["elsewhere"]}]},
            "no backend is left by this operator's rule 'capitals'",
            0,
        ),
        (
            {"after": [{"name": "cities", "words": ["PARIS"]}]},
            "this operator's rule 'cities' refuses the answer",
            1,
        ),
        (
            {"models": ["0x" + "ab" * 32]},
            "no backend is left by this operator's models",
            0,
        ),
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
