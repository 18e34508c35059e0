"""Server-sent events: in order, without a gap, across reconnects; bounded for whoever listens."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.served import Served, serving
from vagus.daemon.api import live
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import Retry

STAGES = [Stage.FINAL, Stage.ROUTED, Stage.EXECUTED, Stage.ATTESTED, Stage.SUBMITTED]


@dataclass
class Event:
    kind: str
    id: str
    data: Any


class Listener:
    """Reads a stream as the standard says: fields, then an empty line."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, *kinds: str) -> Event:
        """The next event of one of these kinds."""
        async with asyncio.timeout(30):
            while True:
                event = await self._event()
                if event.kind in kinds:
                    return event

    async def _event(self) -> Event:
        fields: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            if line == "\n" and "data" in fields:
                kind = fields.get("event", "message")
                return Event(kind, fields.get("id", ""), json.loads(fields["data"]))
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        raise EOFError


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@contextlib.asynccontextmanager
async def listening(node: Served, after: str = "", **headers: str) -> AsyncIterator[Listener]:
    path = f"{node.root}/v1/events{after}"
    timeout = aiohttp.ClientTimeout(total=None)
    async with node.session.get(path, headers=headers, timeout=timeout) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Listener(response)


async def walk(node: Served, record: IntentRecord, *stages: Stage) -> None:
    for stage in stages:
        await node.journal.move(record, stage)


async def test_each_stage_comes_as_it_is_journalled_with_the_seconds_before_it(
    node: Served,
) -> None:
    async with listening(node) as listener:
        hello = await listener.next("hello")
        (record,) = await node.observe(1)
        await walk(node, record, *STAGES)
        events = [await listener.next("transition") for _ in range(6)]
    assert [each.data["stage"] for each in events] == [
        "observed", "final", "routed", "executed", "attested", "submitted",
    ]  # fmt: skip
    assert {each.data["id"] for each in events} == {"0x" + record.id.hex()}
    stages = [each.data["stage"] for each in events]
    assert [each.data["from"] for each in events] == [None, *stages[:-1]]
    keys = [int(each.id) for each in events]
    assert keys == list(range(int(hello.id) + 1, int(hello.id) + 7))
    history = await node.journal.history(record.id)
    for event, line, before in zip(events[1:], history[1:], history, strict=False):
        assert event.data["at"] == line.at
        assert event.data["seconds"] == pytest.approx(line.at - before.at, abs=0.001)


async def test_who_comes_back_with_the_last_id_misses_nothing_and_sees_nothing_twice(
    node: Served,
) -> None:
    records = await node.observe(1, 2, 3)
    async with listening(node, **{"Last-Event-ID": "0"}) as listener:
        first = [(await listener.next("transition")).id for _ in range(2)]
    for record in records:
        await walk(node, record, *STAGES)
    for way in ({"after": f"?after={first[-1]}"}, {"Last-Event-ID": first[-1]}):
        async with listening(node, **way) as listener:
            rest = [(await listener.next("transition")).id for _ in range(16)]
        assert first + rest == [str(key) for key in range(1, 19)]


async def test_the_last_id_outlives_the_node(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        (record,) = await node.observe(1)
        async with listening(node, "?after=0") as listener:
            seen = await listener.next("transition")
        await walk(node, record, Stage.FINAL)
    async with serving(tmp_path) as node, listening(node, f"?after={seen.id}") as listener:
        assert (await listener.next("transition")).data["stage"] == "final"


async def test_who_missed_too_much_or_knows_another_journal_is_told_to_begin_anew(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_REPLAY", 3)
    await node.observe(*range(1, 6))
    for after in (1, 99):
        async with listening(node, f"?after={after}") as listener:
            assert (await listener.next("reset", "transition")).kind == "reset"
            await node.observe(10 + after)
            assert (await listener.next("transition")).data["stage"] == "observed"
    async with listening(node, "?after=4") as listener:
        assert (await listener.next("reset", "transition")).kind == "transition"


async def test_many_who_listen_see_the_same_lines_in_the_same_order(node: Served) -> None:
    async with contextlib.AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(node, "?after=0")) for _ in range(8)]
        records = await node.observe(*range(1, 41))
        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(walk(node, record, *STAGES), name="walk")
        seen = [[(await each.next("transition")).id for _ in range(240)] for each in listeners]
    assert seen == [[str(key) for key in range(1, 241)]] * 8


async def test_a_listener_far_behind_the_others_still_gets_every_line(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.daemon.feed.BATCH", 8)
    async with listening(node) as ahead:
        await ahead.next("hello")
        for first in range(1, 401, 100):
            await node.observe(*range(first, first + 100))
        newest = str(await node.journal.newest_key())
        while (await ahead.next("transition")).id != newest:
            pass
        async with listening(node, "?after=0") as behind:
            seen = [(await behind.next("transition")).id for _ in range(400)]
    assert seen == [str(key) for key in range(1, 401)]


async def test_nobody_reads_the_history_while_nobody_listens(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = SqliteJournal.history_after

    async def history_after(self: SqliteJournal, key: int, limit: int) -> Any:
        asked.append(key)
        return await real(self, key, limit)

    monkeypatch.setattr(SqliteJournal, "history_after", history_after)
    (record,) = await node.observe(1)
    await walk(node, record, *STAGES)
    async with listening(node, "?after=0") as listener:
        assert asked == []
        await listener.next("transition")
    assert asked == [0]


async def test_a_journal_that_cannot_be_read_delays_events_and_loses_none(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, faults = SqliteJournal.history_after, [Retry("locked", after=0.01)] * 3

    async def history_after(self: SqliteJournal, key: int, limit: int) -> Any:
        if faults:
            raise faults.pop()
        return await real(self, key, limit)

    async with listening(node) as listener:
        await listener.next("hello")
        monkeypatch.setattr(SqliteJournal, "history_after", history_after)
        await node.observe(1, 2, 3)
        assert [(await listener.next("transition")).id for _ in range(3)] == ["1", "2", "3"]
        assert faults == []


async def test_the_status_comes_first_and_again_and_again(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STATUS_SECONDS", 0.05)
    async with listening(node) as listener:
        assert (await listener.next("status")).data["ready"] is True
        node.network.faults["eip155:1"] = "does not answer"
        shown = (await listener.next("status")).data
        while shown["ready"]:
            shown = (await listener.next("status")).data
        assert (shown["ready"], shown["faults"]) == (False, {"eip155:1": "does not answer"})


async def test_listeners_over_the_bound_are_asked_to_come_back(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_LISTENERS", 2)
    async with listening(node) as first, listening(node) as second:
        await first.next("hello")
        await second.next("hello")
        async with node.session.get(f"{node.root}/v1/events") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")


async def test_who_does_not_read_is_cut_off_and_the_others_go_on(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SLOW_SECONDS", 0.1)
    # Long notes fill the buffers between both ends: 40 MB.
    records = await node.observe(*range(1, 21))
    slow_reader, slow_writer = await asyncio.open_connection("127.0.0.1", node.port, limit=1024)
    slow_writer.write(b"GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with listening(node) as listener:
        await listener.next("hello")
        for record in records:
            for stage in STAGES:
                await node.journal.move(record, stage, note="x" * 400_000)
            for stage in STAGES:
                assert (await listener.next("transition")).data["stage"] == stage.name.lower()
        async with asyncio.timeout(30):
            while node.status.listeners > 1:
                await asyncio.sleep(0.01)
    with contextlib.suppress(ConnectionError):
        while await slow_reader.read(1 << 20):
            pass
    slow_writer.close()


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "٣"])
async def test_an_id_that_is_none_is_refused(node: Served, after: str) -> None:
    status, text = await node.get(f"/v1/events?after={after}")
    assert (status, bool(json.loads(text)["error"])) == (400, True)


async def test_a_node_that_stops_hangs_up_at_once(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serving(tmp_path) as node:
            listener = await stack.enter_async_context(listening(node))
            await listener.next("hello")
            loop = asyncio.get_running_loop()
            began = loop.time()
        assert loop.time() - began < 1.0  # and not after the server's own patience


async def test_an_event_has_the_beginning_of_the_answer(node: Served) -> None:
    answer = "é" * 150 + "中" * 1000
    async with listening(node) as listener:
        await listener.next("hello")
        (record,) = await node.observe(1)
        await walk(node, record, Stage.FINAL, Stage.ROUTED)
        await node.journal.move(record, Stage.EXECUTED, output=answer.encode())
        events = [await listener.next("transition") for _ in range(4)]
    assert events[-1].data["intent"]["answer"] == answer[:300]
    _, shown = await node.json("/v1/intents")
    assert (shown["intents"][0]["answer"], shown["intents"][0]["output"]) == (answer[:300], answer)


async def test_who_comes_late_is_told_counts_that_have_what_it_was_not_sent(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STATUS_SECONDS", 600)
    async with listening(node) as early:
        assert (await early.next("status")).data["key"] == 0
        await node.observe(1, 2, 3)
        async with listening(node) as late:
            hello, status = await late.next("hello"), await late.next("status")
    assert (hello.id, status.data["key"], status.data["intents"]["observed"]) == ("3", 3, 3)
