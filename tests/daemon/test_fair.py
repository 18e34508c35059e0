"""What a leader may say that its run cost: its fee follows from it, and the other members hold it to theirs."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from coincurve import PrivateKey

from support.pipelines import GAS, Node, two_chains
from support.scripted import GOOD, response, scripted, sending
from vagus.agents import AgentRegistry, Policy
from vagus.agents.document import CallDocument, PriceDocument, UsageDocument
from vagus.agents.document import read_evidence as read
from vagus.compute import Backend, Model, Price, PriceConfig, Usage
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.daemon.execute import Executor, Run
from vagus.daemon.fair import check_tokens
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.work import IntentWork
from vagus.protocol import FeeFormula, Outcome, Refuse, models_digest, settlement

KEY = PrivateKey(b"\x05" * 32)
LEADER = b"\x02" * 20
# What GOOD says that it read and wrote, and what two runs may differ by.
READ, WRITTEN, MORE = 5, 1, 256
SPEND = 10**9


@dataclass
class Follower:
    """A member that has run an intent itself, and checks what a leader says of its own run."""

    node: Node
    record: IntentRecord
    work: IntentWork
    own: Run
    theirs: Run

    async def check(self, *calls: CallDocument) -> str:
        """Say why a proposal with these calls is voted against; empty where it is not."""
        document = read(self.theirs.outcome.evidence)
        cost = sum(int(call.cost) for call in calls)
        made = msgspec.structs.replace(document, calls=calls, cost=str(cost)).encode()
        digest = models_digest(bytes.fromhex(call.model.digest[2:]) for call in calls)
        proposed = Outcome(
            self.theirs.outcome.status,
            self.theirs.outcome.output,
            self.theirs.outcome.agent_digest,
            digest,
            made,
        )
        try:
            verdict = await self.work.check(self.own, proposed, LEADER, {})
        except Refuse as error:
            return error.reason
        return "" if verdict.right else verdict.reason

    def call(self, price: int = 1, read_: int = READ, written: int = WRITTEN) -> CallDocument:
        """The leader's call, at a price a token, with so many tokens."""
        (call,) = read(self.theirs.outcome.evidence).calls
        million = Decimal(price) * 10**6
        cost = Price(million, million).cost(Usage(read_, written))
        return msgspec.structs.replace(
            call,
            price=PriceDocument(f"{million:f}", f"{million:f}"),
            usage=UsageDocument(read_, written),
            cost=str(cost),
        )


def seller(name: str, base_url: str, model: str, price: int) -> OpenAIConfig:
    million = Decimal(price) * 10**6
    return OpenAIConfig(
        name=name,
        base_url=base_url,
        models=(ModelConfig(name=model),),
        price=PriceConfig(input=million, output=million),
    )


@contextlib.asynccontextmanager
async def following(
    folder: Path, listed: Sequence[tuple[str, int]], **policy: Any
) -> AsyncIterator[Follower]:
    """A follower whose own backends list these models at these prices a token."""
    async with (
        scripted(sending(response(GOOD))) as model,
        two_chains(KEY) as (a, b),
        contextlib.AsyncExitStack() as stack,
    ):
        node = Node(folder, model.base_url, KEY, a, b)
        async with node.start():
            usual = node.pipeline._executor
            agents = AgentRegistry({"chat@1": {}})
            backends: list[Backend] = [
                await stack.enter_async_context(
                    OpenAIBackend(seller(f"sells{at}", model.base_url, *each))
                )
                for at, each in enumerate(listed)
            ]
            executor = Executor(
                agents,
                backends,
                Policy.model_validate(policy),
                usual._roster,
                usual.signer,
                journal=node.journal,
            )
            record = await node.ask(max_fee=GAS + SPEND)
            node.pipeline._executor = executor
            await node.carry_to(record, Stage.ROUTED)
            work = IntentWork(executor, record, b.chain, lambda: 600)
            own = await work.attempt()
            other = Executor(
                agents, backends, Policy(), usual._roster, LEADER, journal=node.journal
            )
            copy = replace(record, route=None, backend="")
            theirs = await IntentWork(other, copy, b.chain, lambda: 600).attempt()
            yield Follower(node, record, work, own, theirs)


def test_a_leader_that_says_more_of_its_cost_is_paid_more() -> None:
    """Why its word must be held to something: by the formula alone it would be worth its while."""
    leader, other = b"\x01" * 32, b"\x02" * 32
    paid = []
    for cost in (100, 9_000):
        _, found = settlement(
            FeeFormula(0, 10_000),
            status=0,
            max_fee=10_000,
            compute_cost=cost,
            gas_allowance=0,
            executor=leader,
            deliverer=None,
            signers=[leader, other],
        )
        paid.append(sum(each.amount for each in found if each.payee == leader))
    assert paid == [100, 9_000]


async def test_an_honest_price_and_one_of_a_dearer_network_are_voted_for(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 10)]) as follower:
        assert await follower.check(follower.call(10)) == ""
        assert await follower.check(follower.call(40)) == ""
        assert await follower.check(follower.call(0)) == ""


async def test_a_price_far_above_what_the_model_costs_here_is_voted_against(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 10), ("m", 20)]) as follower:
        assert await follower.check(follower.call(80)) == ""
        said = await follower.check(follower.call(81))
        assert said == f"it cost {81 * 6}, over 4 times the {20 * 6} that it would cost here"


async def test_a_model_that_nobody_knows_is_no_way_around_it(tmp_path: Path) -> None:
    """The digest follows from the name that the leader gives it: the agent may use any."""
    async with following(tmp_path, [("m", 10)]) as follower:
        unknown = Model("made up")
        call = follower.call(1000)
        named = msgspec.structs.replace(
            call.model, name=unknown.name, digest="0x" + unknown.digest.hex()
        )
        said = await follower.check(msgspec.structs.replace(call, model=named))
        assert said.startswith(f"it cost {1000 * 6}, over 4 times the {10 * 6}")


async def test_what_is_free_here_says_nothing_of_what_others_pay(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 0)]) as follower:
        assert await follower.check(follower.call(1000)) == ""


async def test_the_fees_bound_holds_where_nothing_else_does(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 0)]) as follower:
        assert await follower.check(follower.call(SPEND // 6)) == ""
        said = await follower.check(follower.call(SPEND // 6 + 1))
        assert said.endswith(f"and {SPEND} may be spent")


async def test_an_operators_maximum_price_holds_others_as_it_does_its_own(tmp_path: Path) -> None:
    limit = {"input": str(30 * 10**6), "output": str(30 * 10**6)}
    async with following(tmp_path, [("m", 10)], max_price=limit) as follower:
        assert await follower.check(follower.call(30)) == ""
        said = await follower.check(follower.call(31))
        assert said.endswith("over this operator's maximum price")


async def test_where_an_operator_has_a_maximum_it_is_what_counts(tmp_path: Path) -> None:
    limit = {"input": str(900 * 10**6), "output": str(900 * 10**6)}
    async with following(tmp_path, [("m", 10)], max_price=limit) as follower:
        assert await follower.check(follower.call(900)) == ""


async def test_tokens_that_no_run_can_have_are_voted_against(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 0)]) as follower:
        most = 4 * READ + MORE
        assert await follower.check(follower.call(1, read_=most)) == ""
        said = await follower.check(follower.call(1, read_=most + 1))
        assert said == f"its models read {most + 1} tokens, and {READ} in this node's own run"
        most = 4 * WRITTEN + MORE
        assert await follower.check(follower.call(1, written=most)) == ""
        said = await follower.check(follower.call(1, written=most + 1))
        assert said == f"its models wrote {most + 1} tokens, and {WRITTEN} in this node's own run"


async def test_a_model_that_thinks_at_length_is_held_to_what_a_run_may_write(
    tmp_path: Path,
) -> None:
    """As `check_tokens` has it: in the mode of `chat@1` another model is wrong anyway."""
    async with following(tmp_path, [("m", 0)]) as follower:
        own = read(follower.own.outcome.evidence)
        for written, allowed in ((4096, True), (4097, False)):
            call = follower.call(1, written=written)
            model = msgspec.structs.replace(call.model, digest="0x" + Model("o").digest.hex())
            calls = (msgspec.structs.replace(call, model=model),)
            document = msgspec.structs.replace(own, calls=calls)
            with contextlib.nullcontext() if allowed else pytest.raises(Refuse, match="4096"):
                check_tokens(document, own)
            with contextlib.nullcontext() if allowed else pytest.raises(Refuse, match="4096"):
                check_tokens(document, None)


async def test_calls_that_were_never_made_add_no_tokens(tmp_path: Path) -> None:
    async with following(tmp_path, [("m", 10)]) as follower:
        calls = [follower.call(10, read_=100) for _ in range(3)]
        said = await follower.check(*calls)
        assert said == f"its models read 300 tokens, and {READ} in this node's own run"
