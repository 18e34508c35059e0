"""What every transport of a committee does, over real brokers and real HTTP."""

import asyncio
import contextlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.transports import KEYS, WORLDS, World, topic
from vagus.daemon.committee.transport import MAX_FRAME, Transport

PATIENCE = 60.0


@pytest.fixture(params=WORLDS, ids=lambda world: world.__name__)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with request.param(tmp_path) as world:
        yield world


@pytest.fixture
async def members(world: World) -> AsyncIterator[list[Transport]]:
    async with AsyncExitStack() as life:
        found = [await life.enter_async_context(world.member(n)) for n in range(len(KEYS))]
        await until_all_hear_all(found)
        yield found


async def hears(member: Transport, wanted: Callable[[bytes], bool]) -> bytes:
    """Return the first wanted frame: own ones and earlier ones may come too."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(frame := await member.receive()):
            pass
    return frame


async def insist(sender: int, members: list[Transport], frame: bytes, *hearers: int) -> None:
    """Send again and again, as the protocol does, until all hearers have heard it."""

    async def send() -> None:
        while True:
            members[sender].send(frame, topic(sender))
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.TaskGroup() as group:
            for each in hearers:
                group.create_task(hears(members[each], lambda got: got == frame))
    finally:
        sending.cancel()


async def until_all_hear_all(members: list[Transport]) -> None:
    for sender in range(len(members)):
        others = [at for at in range(len(members)) if at != sender]
        await insist(sender, members, b"hello of %d" % sender, *others)


async def test_all_get_what_one_sends_unchanged(members: list[Transport]) -> None:
    for sender, member in enumerate(members):
        frame = bytes(range(256)) * 4 + bytes([sender])
        member.send(frame, topic(sender))
        for other in members:
            if other is not member:
                assert await hears(other, lambda got, last=frame[-1:]: got[-1:] == last) == frame  # type: ignore[misc]


async def test_what_one_sends_comes_in_its_order(members: list[Transport]) -> None:
    for n in range(200):
        members[0].send(b"count %03d" % n, topic(0))
    for other in members[1:]:
        counted = [await hears(other, lambda got: got[:5] == b"count") for _ in range(200)]
        assert counted == sorted(counted)
    assert all(member.traffic.dropped.total() == 0 for member in members)


async def test_the_largest_frame_passes_and_a_larger_one_is_dropped_and_counted(
    members: list[Transport],
) -> None:
    members[0].send(bytes(MAX_FRAME + 1), topic(0))
    members[0].send(b"\x01" * MAX_FRAME, topic(0))
    for other in members[1:]:
        got = await hears(other, lambda got: len(got) > 1024)
        assert got == b"\x01" * MAX_FRAME
    assert members[0].traffic.dropped["oversized"] == 1


async def test_an_outage_is_nobodys_error_and_it_goes_on_afterwards(
    world: World, members: list[Transport], capsys: pytest.CaptureFixture[str]
) -> None:
    await world.cut()
    for sender, member in enumerate(members):
        for _ in range(3):
            member.send(b"into the void", topic(sender))
    async with asyncio.timeout(PATIENCE):
        while any(members[at].connected for at in world.noticing):
            for sender, member in enumerate(members):  # HTTP notices when it is used
                member.send(b"into the void", topic(sender))
            await asyncio.sleep(0.05)
    await world.mend()
    await until_all_hear_all(members)
    assert any(member.connected for member in members)
    assert sum(member.traffic.reconnects for member in members) > 0


async def test_a_flood_into_an_outage_is_bounded_and_counted(
    world: World, members: list[Transport]
) -> None:
    await world.cut()
    frame, count = bytes(10_000), 20_000
    members[0].send(frame, topic(0))
    tracemalloc.start()
    try:
        for _ in range(count):
            members[0].send(bytes(bytearray(frame)), topic(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    peers = len(KEYS) - 1
    assert peak < 24 << 20, "some 4 MiB a peer are kept of the 200 MB sent"
    assert members[0].traffic.dropped["outbox full"] > count * 0.9
    assert members[0].traffic.dropped["outbox full"] <= count * peers
    await world.mend()
    await insist(0, members, b"after the flood", 1, 2)


async def test_who_floods_takes_nobody_elses_turn(members: list[Transport]) -> None:
    flooder, honest, reader = members
    async with asyncio.timeout(PATIENCE):
        while not reader.traffic.dropped["inbox full"]:
            await flood(flooder, reader, 100)
        honest.send(b"honest", topic(1))
        while not honest.traffic.sent:
            await flood(flooder, reader, 1)
        # Whatever came with it or before it has been read from the wire after these.
        for _ in range(20):
            await flood(flooder, reader, 100)
    # Of the thousand frames that wait, the honest one is among the first.
    assert b"honest" in [await reader.receive() for _ in range(4)]


async def flood(flooder: Transport, reader: Transport, count: int) -> None:
    """Send until as many frames more have reached the reader, who takes none of them."""
    wanted = reader.traffic.received + count
    while reader.traffic.received < wanted:
        if flooder.traffic.sent < 10 * reader.traffic.received:
            flooder.send(b"flood", topic(0))
        await asyncio.sleep(0.0005)


async def test_closing_in_the_middle_of_sending_leaves_nothing_behind(world: World) -> None:
    tasks, descriptors = asyncio.all_tasks(), _descriptors()
    async with world.member(1) as other:
        async with world.member(0) as member:
            async with asyncio.timeout(PATIENCE):
                await member.until_connected()
            for n in range(500):
                member.send(b"%d" % n * 1000, topic(0))
            await asyncio.sleep(0)
        assert not other.traffic.dropped["inbox full"]
    async with asyncio.timeout(PATIENCE):
        while asyncio.all_tasks() != tasks or _descriptors() > descriptors + 2:
            await asyncio.sleep(0.01)


async def test_closing_while_nobody_answers_leaves_nothing_behind(world: World) -> None:
    await world.cut()
    tasks = asyncio.all_tasks()
    async with world.member(0) as member:
        member.send(b"into the void", topic(0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await member.until_connected()
        assert not member.connected
    assert asyncio.all_tasks() == tasks


async def test_a_second_run_just_works(world: World) -> None:
    for _ in range(2):
        async with AsyncExitStack() as life:
            found = [await life.enter_async_context(world.member(n)) for n in range(len(KEYS))]
            await until_all_hear_all(found)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
