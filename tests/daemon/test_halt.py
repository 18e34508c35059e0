"""Halts in a node's parts: who is stopped, in which order, and how it goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from coincurve import PrivateKey
from structlog.testing import capture_logs

from support.chain import ScriptedChain
from support.pipelines import Node, two_chains
from vagus.adapters.base import ChainAdapter, HubState
from vagus.daemon.carriers import Carriers
from vagus.daemon.chains import serve_chain
from vagus.daemon.journal.records import Halted, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.protocol import Halt, Refuse, Retry

REPLACED = "the final block 7 was replaced by another one"


@contextlib.asynccontextmanager
async def network_of(folder: Path) -> AsyncIterator[tuple[Network, ScriptedChain, ScriptedChain]]:
    async with (
        two_chains(PrivateKey(b"\x05" * 32)) as (a, b),
        SqliteJournal(folder / "journal.sqlite") as journal,
    ):
        network = Network([a, b], journal)
        await network.load()
        yield network, a, b


class Counting:
    """Counts how often a chain's hub is read; a read takes until `go` is set."""

    def __init__(self, chain: ScriptedChain, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.go = asyncio.Event()
        self._read = chain.hub_state
        monkeypatch.setattr(chain, "hub_state", self.hub_state)

    async def hub_state(self) -> HubState:
        self.reads += 1
        await self.go.wait()
        return await self._read()


async def test_a_hub_is_read_once_a_block_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network_of(tmp_path) as (network, a, _):
        counting = Counting(a, monkeypatch)
        asking = [asyncio.create_task(network.state(a)) for _ in range(50)]
        await asyncio.sleep(0)
        counting.go.set()
        found = await asyncio.gather(*asking)
        assert counting.reads == 1
        assert all(each is found[0] for each in found)
        await network.state(a)
        assert counting.reads == 1
        a.pass_time(12)
        await network.state(a)
        assert counting.reads == 2


async def test_a_reader_that_is_cancelled_leaves_the_reading_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network_of(tmp_path) as (network, a, _):
        counting = Counting(a, monkeypatch)
        first, second, third = [asyncio.create_task(network.state(a)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        third.cancel()
        counting.go.set()
        assert (await second).at == a.heads.final
        assert counting.reads == 2
        assert first.cancelled()


async def test_a_read_that_fails_fails_for_all_who_waited_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network_of(tmp_path) as (network, a, _):
        counting = Counting(a, monkeypatch)
        a.faults["hub_state"] = [Retry("no answer")]
        asking = [asyncio.create_task(network.state(a)) for _ in range(5)]
        await asyncio.sleep(0)
        counting.go.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(each) for each in found] == [Retry] * 5
        assert counting.reads == 1
        assert (await network.state(a)).at == a.heads.final


async def test_a_halted_chain_serves_nobody_and_the_other_everybody(tmp_path: Path) -> None:
    async with network_of(tmp_path) as (network, a, b):
        with capture_logs() as logs:
            await network.halt(Halt(a.chain, REPLACED))
            await network.halt(Halt(a.chain, "another reason"))
        [line] = logs
        assert (line["event"], line["log_level"], line["reason"]) == (
            "chain halted",
            "error",
            REPLACED,
        )
        asked: list[Awaitable[object]] = [network.state(a)]
        for each in asked:
            with pytest.raises(Halt, match=REPLACED):
                await each
        for read, key in ((network.by_hub, a.hub), (network.find, a.hub_id)):
            with pytest.raises(Halt, match=REPLACED):
                read(key)  # type: ignore[operator]  # a name or an id, as each takes
        assert network.by_hub(b.hub) is b
        assert not network.serves(a.hub, b.hub_id)
        assert not network.serves(b.hub, a.hub_id)
        assert network.serves(b.hub, b.hub_id)
        assert network.faults[a.hub].startswith(f"halted: {REPLACED}; ")


async def test_a_restart_keeps_a_halt_and_a_resume_takes_it_back(tmp_path: Path) -> None:
    async with network_of(tmp_path) as (network, a, _):
        await network.halt(Halt(a.chain, REPLACED))
    async with network_of(tmp_path) as (network, a, b):
        assert network.halts[a.chain].reason == REPLACED
        with pytest.raises(Refuse, match="is not in the config, which has"):
            await network.resume("eip155:1")
        assert await network.resume(b.chain) is None
        halted = await network.resume(a.chain)
        assert isinstance(halted, Halted)
        assert halted.reason == REPLACED
        assert network.by_hub(a.hub) is a
        assert network.faults == {}
    async with network_of(tmp_path) as (network, _, _):
        assert network.halts == {}


async def test_a_chain_is_stopped_before_its_halt_is_on_disk_and_the_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network_of(tmp_path) as (network, a, _):
        journal, tried = network._journal, []

        async def full(chain: str, reason: str) -> Halted:
            tried.append(chain)
            assert chain in network.halts
            monkeypatch.undo()
            raise Retry("the disk is full", after=0.0)

        monkeypatch.setattr(journal, "halt", full)
        await network.halt(Halt(a.chain, REPLACED))
        assert tried == [a.chain]
        assert [each.chain for each in await journal.halts()] == [a.chain]


class Crossed(ScriptedChain):
    """A chain whose endpoint serves another one, while `wrong`."""

    wrong = True

    async def __aenter__(self) -> "Crossed":
        if self.wrong:
            raise Halt(self.chain, "the endpoint serves eip155:1")
        await super().__aenter__()
        return self


@contextlib.asynccontextmanager
async def served(node: Node, *chains: ChainAdapter) -> AsyncIterator[Carriers]:
    """The node's chains, each in its task, as `vagus run` has them."""

    async def look(_: ChainAdapter) -> None:
        return None

    async with asyncio.TaskGroup() as group:
        carriers = Carriers(group, node.pipeline, Metrics())
        for chain in chains:
            node.network.hold(chain.chain)
        tasks = [
            group.create_task(
                serve_chain(
                    chain, lambda each=chain: each, look, node.network, node.journal, carriers
                )
            )
            for chain in chains
        ]
        yield carriers
        await carriers.drain()
        for task in tasks:
            task.cancel()


async def until_stage(node: Node, intent_id: bytes, stage: Stage) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await node.journal.intent(intent_id)
            if found is not None and found.stage == stage:
                return
            await asyncio.sleep(0.01)


async def test_a_chain_that_halts_as_it_is_entered_stops_no_other(node: Node) -> None:
    node.a.__class__ = Crossed
    record = await node.ask()
    async with served(node, node.a, node.b):
        await node.network.halted(node.a.chain)
        assert node.network.by_hub(node.b.hub) is node.b
        assert [each.chain for each in await node.journal.halts()] == [node.a.chain]
        node.a.wrong = False  # type: ignore[attr-defined]  # it is a Crossed now
        await node.network.resume(node.a.chain)
        async with asyncio.timeout(20):
            while node.network.halts or node.a.chain not in node.network.entered:
                await asyncio.sleep(0.01)
    assert record.stage == Stage.OBSERVED


async def test_intents_of_a_halted_chain_wait_and_are_carried_once_it_is_resumed(
    node: Node,
) -> None:
    """Their destination halts: nothing of theirs is read again, and they go on where they were."""
    waiting = await node.ask()
    await node.carry_to(waiting, Stage.ATTESTED)
    node.b.faults["estimate"] = [Halt(node.b.chain, REPLACED)]
    async with served(node, node.a, node.b):
        async with asyncio.timeout(20):
            await node.network.halted(node.b.chain)
        assert node.b.transactions == 0
        await node.network.resume(node.b.chain)
        await until_stage(node, waiting.id, Stage.SETTLED)
    assert (node.a.transactions, node.b.transactions) == (1, 1)
    assert len(await node.journal.unfinished()) == 0
