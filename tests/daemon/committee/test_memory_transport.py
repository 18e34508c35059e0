"""The faults that other tests have links show are the ones that they ask for."""

import asyncio
from contextlib import AsyncExitStack

from support.memory_transport import MemoryHub, MemoryTransport
from support.transports import topic

NAMES = "abc"


async def heard(seed: int, drop: float, double: float, delay: float) -> list[list[bytes]]:
    """What each of three members hears of a hundred frames of each."""
    hub = MemoryHub(seed, drop=drop, double=double, delay=delay)
    async with AsyncExitStack() as life:
        members = [await life.enter_async_context(hub.member(name)) for name in NAMES]
        for n in range(100):
            for member in members:
                member.send(b"%s %03d" % (member.name.encode(), n), topic(0))
        await asyncio.sleep(delay + 0.01)  # all that is under way has a deadline of its own
        return [await everything(member) for member in members]


async def everything(member: MemoryTransport) -> list[bytes]:
    return [await member.receive() for _ in range(member.traffic.received)]


async def test_without_faults_all_hear_the_others_once_in_order() -> None:
    for at, frames in enumerate(await heard(1, 0, 0, 0)):
        assert frames == [
            b"%s %03d" % (name.encode(), n)
            for n in range(100)
            for name in NAMES
            if name != NAMES[at]
        ]


async def test_a_seed_has_the_same_faults_again() -> None:
    assert await heard(7, 0.3, 0.3, 0) == await heard(7, 0.3, 0.3, 0)
    assert await heard(7, 0.3, 0.3, 0) != await heard(8, 0.3, 0.3, 0)


async def test_frames_are_lost_doubled_and_overtaken() -> None:
    frames = (await heard(3, 0.3, 0.3, 0.05))[0]
    assert len(set(frames)) < 200
    assert len(set(frames)) < len(frames)
    of_b = [each for each in frames if each.startswith(b"b")]
    assert of_b != sorted(of_b)


async def test_nothing_passes_between_parts_until_they_heal() -> None:
    hub = MemoryHub(1)
    async with hub.member("a") as a, hub.member("b") as b, hub.member("c") as c:
        hub.part("ab", "c")
        assert not c.connected
        a.send(b"parted", topic(0))
        assert await b.receive() == b"parted"
        hub.heal()
        a.send(b"healed", topic(0))
        assert await c.receive() == b"healed"
