"""Metrics: what docs/metrics.md says is what a scrape finds, no more and no less."""

import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from support.chain import ScriptedChain
from support.committee import Committee, Place
from support.fleet import Scripted
from support.pipelines import A, B, two_chains
from support.scripted import GOOD, response, scripted, sending
from support.served import HUB, ROSTER, Served, requested, serving
from vagus.adapters.base import Endpoint, Heads, Tally
from vagus.agents import AgentRegistry, Policy
from vagus.compute import Answer, Completion, Message
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.price import PriceConfig
from vagus.daemon.execute import Executor
from vagus.daemon.journal.base import Commit
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.metrics.measured import Measured
from vagus.protocol import Retry, Status

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
ACCEPT = "application/openmetrics-text; version=1.0.0"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\w*) ?\| (.*?) ?\| ", re.MULTILINE)


class Counted(ScriptedChain):
    """A chain that says of its endpoints what adapters with several say."""

    def tallies(self) -> dict[str, Tally]:
        return {"one": Tally(7, 2, 1)}

    async def endpoints(self) -> tuple[Endpoint, ...]:
        heads = self.heads
        assert isinstance(heads, Heads)
        return (Endpoint("one", "behind by 9 blocks", heads.latest, heads.final, 0.25),)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A node that has seen a bit of everything."""
    monkeypatch.setattr("support.pipelines.ScriptedChain", Counted)
    async with (
        two_chains(PrivateKey(b"\x05" * 32)) as chains,
        scripted(sending(response(GOOD))) as model,
        serving(tmp_path, chains, costs={chains[0].chain: 10**15}) as served,
    ):
        config = OpenAIConfig(
            name="scripted",
            base_url=model.base_url,
            models=(ModelConfig(name="m"),),
            price=PriceConfig.model_validate({"input": "1000000", "output": "2000000"}),
        )
        async with Measured(OpenAIBackend(config), served.metrics) as backend:
            served.status.survey.backends = (backend,)
            await served.status.survey.ask()
            await served.get("/metrics")  # durations are counted from the first scrape on
            (record,) = await served.observe(1)
            await served.journal.move(record, Stage.FINAL)
            request = Completion(
                model=backend.served[0], messages=(Message("user", "x"),), max_tokens=4
            )
            served.status.executor = executor = Executor(
                AgentRegistry({"chat@1": {}}), [backend], Policy(), ROSTER, bytes(20)
            )
            await executor.router.complete(request, [backend], timeout=10)
            slow = Scripted("slow", 1e6)
            with pytest.raises(Retry, match="too long"):
                await executor.router.complete(request, [slow], timeout=0.01)
            served.metrics.ended(record)
            served.network.read_to(chains[0], 3)
            served.metrics.committed(Commit(0.01, 0))
            yield served


@pytest.fixture
async def place(node: Served, tmp_path: Path) -> AsyncIterator[Place]:
    """Has the node be a member of a committee of three, of which the others are away."""
    (tmp_path / "member").mkdir()
    async with Committee(tmp_path / "member", 3, 2).member(0) as place:
        node.status.committee = place.peers
        chain = node.network.adapters[0]
        node.network.states[chain.hub_id] = replace(
            await chain.hub_state(), current=place.committee.current
        )
        yield place


async def scrape(node: Served, accept: str = ACCEPT) -> str:
    node.metrics._read_at = float("-inf")
    status, text = await node.get("/metrics", Accept=accept)
    assert status == 200
    return text


async def values(node: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in openmetrics(await scrape(node))
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def test_the_docs_name_every_metric_with_its_type_unit_and_labels(
    node: Served, place: Place
) -> None:
    documented = {
        name: (kind, unit, tuple(sorted(re.findall(r"`(\w+)`", labels))))
        for name, kind, unit, labels in ROW.findall(DOCS.read_text())
    }
    found = {}
    for family in openmetrics(await scrape(node)):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_info" if family.type == "info" else family.name
        found[name] = (family.type, family.unit, tuple(sorted(labels)))
        assert family.documentation
    assert documented == found


async def test_a_member_counts_who_is_here_and_what_came(node: Served, place: Place) -> None:
    before = await values(node)
    chain = node.network.adapters[0].chain
    assert before[key("vagus_committee_present_members", chain=chain)] == 1
    assert before[key("vagus_committee_needed_members", chain=chain)] == 2
    assert before[key("vagus_committee_size_members", chain=chain)] == 3
    assert before[key("vagus_committee_gate_closed")] == 1
    assert before[key("vagus_ready")] == 0
    assert before[key("vagus_committee_envelopes_total", result="forged")] == 0
    frame = place.committee.wire.frames[0]
    place.peers.take(frame[:-1] + bytes([frame[-1] ^ 1]))
    place.peers.take(b"no envelope")
    place.peers.tally.agreement.observe(0.3)
    place.peers.tally.rounds.observe(2)
    place.peers.tally.disagreements["proposal"] += 1
    after = await values(node)
    assert after[key("vagus_committee_envelopes_total", result="malformed")] == 1
    assert after[key("vagus_committee_envelopes_total", result="forged")] == 1
    assert after[key("vagus_committee_disagreements_total", what="proposal")] == 1
    assert after[key("vagus_committee_agreement_seconds_sum")] == 0.3
    assert after[key("vagus_committee_agreement_seconds_bucket", le="0.25")] == 0
    assert after[key("vagus_committee_agreement_seconds_bucket", le="0.5")] == 1
    assert after[key("vagus_committee_rounds_bucket", le="1.0")] == 0
    assert after[key("vagus_committee_rounds_bucket", le="2.0")] == 1
    assert after[key("vagus_transport_up", transport="memory")] == 1


async def test_a_node_that_is_alone_has_no_series_of_a_committee(node: Served) -> None:
    assert not [
        name for name, _ in await values(node) if "committee" in name or "transport" in name
    ]


async def test_both_formats_have_the_same_values(node: Served) -> None:
    moving = {
        "process_",
        "vagus_loop",
        "vagus_chain_lag",
        "vagus_intent_waiting",
        "vagus_journal_free",
    }
    both = []
    for text, parse in ((await scrape(node), openmetrics), (await scrape(node, "*/*"), plain)):
        both.append(
            {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in parse(text)
                for sample in family.samples
                if not sample.name.endswith("_created")
                and not any(sample.name.startswith(each) for each in moving)
            }
        )
    assert both[0] == both[1]


async def test_the_content_type_is_what_was_asked_for(node: Served) -> None:
    for accept, kind in ((ACCEPT, "application/openmetrics-text"), ("", "text/plain")):
        headers = {"Accept": accept}
        async with node.session.get(f"{node.root}/metrics", headers=headers) as answer:
            assert answer.headers["Content-Type"].startswith(f"{kind}; version=")


async def test_chains_endpoints_and_balances_are_told(node: Served) -> None:
    seen = await values(node)
    chain = "eip155:31337"
    heads = node.network.adapters[0].heads
    assert heads is not None
    assert seen[key("vagus_chain_height_blocks", chain=chain, head="final")] == heads.final.height
    assert seen[key("vagus_chain_height_blocks", chain=chain, head="read")] == 3
    assert seen[key("vagus_endpoint_up", chain=chain, endpoint="one")] == 0
    assert seen[key("vagus_endpoint_disagreements_total", chain=chain, endpoint="one")] == 1
    assert seen[key("vagus_account_balance_native", chain=chain)] == 10**18
    assert seen[key("vagus_account_runway_transactions", chain=chain)] == 1000
    assert key("vagus_account_runway_transactions", chain="eip155:31338") not in seen


async def test_a_halted_chain_shows_until_it_is_resumed(node: Served) -> None:
    from vagus.protocol import Halt

    chain = node.network.adapters[1].chain
    await node.network.halt(Halt(chain, "a final block was replaced"))
    seen = await values(node)
    assert (seen[key("vagus_chain_halted", chain=chain)], seen[key("vagus_ready")]) == (1, 0)
    assert seen[key("vagus_chain_halted", chain=node.network.adapters[0].chain)] == 0
    await node.network.resume(chain)
    assert (await values(node))[key("vagus_chain_halted", chain=chain)] == 0


async def test_a_models_tokens_and_cost_are_counted(node: Served) -> None:
    seen = await values(node)
    names = {"backend": "scripted", "model": "m"}
    assert seen[key("vagus_model_requests_total", **names, result="answered")] == 1
    assert seen[key("vagus_model_tokens_total", **names, kind="prompt")] == 5
    assert seen[key("vagus_model_tokens_total", **names, kind="completion")] == 1
    assert seen[key("vagus_model_cost_native_total", **names)] == 7
    assert seen[key("vagus_model_answer_seconds_count", **names)] == 1


async def test_a_backend_that_fails_three_times_is_down_until_it_answers(tmp_path: Path) -> None:
    answers: list[bytes] = [response({}, status="503 Busy")] * 3 + [response(GOOD)]

    async def script(request: Any) -> None:
        await request.send(answers.pop(0))

    async with scripted(script) as model, serving(tmp_path) as node:
        config = OpenAIConfig(name="s", base_url=model.base_url, models=(ModelConfig(name="m"),))
        async with Measured(OpenAIBackend(config), node.metrics) as backend:
            node.status.survey.backends = (backend,)
            assert (await node.get("/readyz"))[0] == 503
            await node.status.survey.ask()
            assert await node.get("/readyz") == (200, "ready\n")
            request = Completion(
                model=backend.served[0], messages=(Message("user", "x"),), max_tokens=4
            )
            for failed in (1, 2, 3):
                with pytest.raises(Retry):
                    await backend.complete(request, timeout=10)
                assert ((await node.get("/readyz"))[0] == 200) is (failed < 3)
            assert "backend s: failed 3 times in a row" in (await node.get("/readyz"))[1]
            await node.status.survey.ask()  # asks it for one token
            assert await node.get("/readyz") == (200, "ready\n")
            assert answers == []


async def test_a_backend_is_checked_in_its_own_way(tmp_path: Path) -> None:
    """Who rents machines rents none to be checked: that way asks for no completion."""

    class Checked(OpenAIBackend):
        down, checks, asked = True, 0, 0

        async def complete(self, request: Completion, *, timeout: float) -> Answer:
            self.asked += 1
            raise Retry("no machine")

        async def check(self, *, timeout: float) -> None:
            self.checks += 1
            if self.down:
                raise Retry("no machine")

    async with serving(tmp_path) as node:
        inner = Checked(
            OpenAIConfig(name="s", base_url="http://127.0.0.1:9", models=(ModelConfig(name="m"),))
        )
        async with Measured(inner, node.metrics) as backend:
            node.status.survey.backends = (backend,)
            await node.status.survey.ask()
            request = Completion(
                model=backend.served[0], messages=(Message("user", "x"),), max_tokens=4
            )
            for _ in range(3):
                with pytest.raises(Retry):
                    await backend.complete(request, timeout=10)
            await node.status.survey.ask()
            assert backend.fault == "failed 3 times in a row, last: no machine"
            inner.down = False
            await node.status.survey.ask()
            assert backend.fault is None
            assert (inner.checks, inner.asked) == (2, 3)


@pytest.mark.parametrize(
    ("stage", "status", "end"),
    [
        (Stage.SETTLED, Status.FULFILLED, "fulfilled"),
        (Stage.SETTLED, Status.REFUSED, "refused"),
        (Stage.SETTLED, Status.FAILED, "failed"),
        (Stage.CLOSED, Status.FULFILLED, "closed"),
        (Stage.CLOSED, None, "closed"),
        (Stage.LEFT, None, "left"),
        (Stage.LEFT, Status.FULFILLED, "missed"),
    ],
)
async def test_an_intents_end_is_counted_by_what_became_of_it(
    tmp_path: Path, stage: Stage, status: Status | None, end: str
) -> None:
    found = requested(1)
    record = IntentRecord(
        found.intent.id, HUB, found.intent, b"", b"", 1, "0x", stage, 0.0, 0.0, status
    )
    async with serving(tmp_path) as node:
        node.metrics.ended(record)
        assert (await values(node))[key("vagus_intents_ended_total", end=end)] == 1


async def test_an_intent_that_shows_another_node_with_the_keys_is_counted(tmp_path: Path) -> None:
    found = requested(1)
    record = IntentRecord(
        found.intent.id, HUB, found.intent, b"", b"", 1, "0x", Stage.CLOSED, 0.0, 0.0
    )
    async with serving(tmp_path) as node:
        node.metrics.ended(record)
        assert (await values(node))[key("vagus_keys_elsewhere_total", what="outcome")] == 0
        record.elsewhere = "outcome"
        node.metrics.ended(record)
        assert (await values(node))[key("vagus_keys_elsewhere_total", what="outcome")] == 1


async def test_stages_are_timed_by_the_journals_own_times(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        await scrape(node)
        records = await node.observe(1, 2, 3)
        for record in records:
            for stage in (Stage.FINAL, Stage.ROUTED, Stage.EXECUTED):
                await node.journal.move(record, stage)
        seen = await values(node)
        took = {"observed": 0.0, "final": 0.0, "routed": 0.0}
        for record in records:
            history = await node.journal.history(record.id)
            for line, after in itertools.pairwise(history):
                took[line.stage.name.lower()] += after.at - line.at
        for stage, seconds in took.items():
            name = "vagus_stage_duration_seconds"
            assert seen[key(f"{name}_count", stage=stage)] == 3
            assert seen[key(f"{name}_sum", stage=stage)] == pytest.approx(seconds)
            assert seen[key(f"{name}_bucket", stage=stage, le="7200.0")] == 3
        assert seen[key("vagus_stage_duration_seconds_count", stage="executed")] == 0
        await values(node)
        assert (await values(node))[key("vagus_stage_duration_seconds_count", stage="routed")] == 3


async def test_what_waits_is_told_by_stage_and_a_stage_that_emptied_counts_nothing(
    node: Served,
) -> None:
    (record,) = await node.observe(9)
    seen = await values(node)
    assert seen[key("vagus_intents", stage="observed")] == 1
    assert seen[key("vagus_intent_waiting_seconds", stage="observed")] > 0
    await node.journal.move(record, Stage.FINAL)
    seen = await values(node)
    assert seen[key("vagus_intents", stage="observed")] == 0
    assert seen[key("vagus_intent_waiting_seconds", stage="observed")] == 0


async def test_labels_hold_nothing_that_a_stranger_chose(node: Served) -> None:
    text = await scrape(node)
    _, shown = await node.json("/v1/intents")
    for intent in shown["intents"]:
        for each in ("id", "requester", "agent_id", "request_tx"):
            assert intent[each].removeprefix("0x") not in text
    series = len([line for line in text.splitlines() if not line.startswith("#")])
    assert series < 600


async def test_many_scrapes_at_once_read_the_journal_once(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    asked = 0
    real = node.journal.counts

    async def counts() -> Any:
        nonlocal asked
        asked += 1
        return await real()

    monkeypatch.setattr(node.journal, "counts", counts)
    node.metrics._read_at = float("-inf")
    monkeypatch.setattr("vagus.daemon.metrics.registry._FRESH", 60.0)
    answers = await asyncio.gather(*(node.get("/metrics") for _ in range(20)))
    assert [status for status, _ in answers] == [200] * 20
    assert asked == 1


async def test_hubs_that_are_not_read_to_their_head_make_a_node_unready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_chains(PrivateKey(b"\x05" * 32)) as chains, serving(tmp_path, chains) as node:
        a, b = chains
        assert a.heads is not None
        status, text = await node.get("/readyz")
        final = a.heads.final.height
        assert status == 503
        assert sorted(text.splitlines()) == [
            f"{A}: not read yet: its final block is {final}",
            f"{B}: not read yet: its final block is {final}",
        ]
        node.network.read_to(a, final)
        node.network.read_to(b, final - 1)
        assert (await node.get("/readyz"))[1] == (
            f"{B}: catching up: read to block {final - 1} of {final}\n"
        )
        node.network.read_to(b, final)
        assert await node.get("/readyz") == (200, "ready\n")
        a.pass_time(12)
        assert await node.get("/readyz") == (200, "ready\n")  # a block takes a moment to be read
        monkeypatch.setattr("vagus.daemon.status.BEHIND", -1.0)
        assert a.heads is not None
        assert (await node.get("/readyz"))[0] == (503 if a.heads.final.height > final else 200)


@dataclass
class Clock:
    """Both of a machine's clocks, in seconds, as far as they are asked here."""

    now: float
    up: float = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.up


async def test_a_chain_that_makes_no_blocks_makes_a_node_unready_and_a_wrong_clock_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_chains(PrivateKey(b"\x05" * 32)) as chains, serving(tmp_path, chains) as node:
        a, b = chains
        assert a.heads is not None
        assert b.heads is not None
        clock = Clock(a.heads.latest.time)
        for module in ("network", "status"):
            monkeypatch.setattr(f"vagus.daemon.{module}.time", clock)

        def read() -> None:
            for chain in chains:
                assert chain.heads is not None
                node.network.read_to(chain, chain.heads.final.height)

        read()
        assert await node.get("/readyz") == (200, "ready\n")
        clock.now += 3600  # an hour ahead, all at once
        assert await node.get("/readyz") == (200, "ready\n")
        clock.now, clock.up = clock.now - 7200, clock.up + 3600  # an hour behind, and an hour on
        assert await node.get("/readyz") == (200, "ready\n")
        b.pass_time(12)
        read()
        clock.now = b.heads.latest.time + 301
        assert await node.get("/readyz") == (
            503,
            f"{A}: its chain stands still: block {a.heads.latest.height} is 313 s old, and none came "
            "for 3600 s; see a block explorer: if the chain goes on, its endpoints are stale\n",
        )
        _, text = await node.get("/metrics")
        assert 'vagus_chain_up{chain="eip155:31337"} 0.0' in text
        assert 'vagus_chain_up{chain="eip155:31338"} 1.0' in text
        assert "vagus_ready 0.0" in text
        a.pass_time(12)
        read()
        assert await node.get("/readyz") == (200, "ready\n")
