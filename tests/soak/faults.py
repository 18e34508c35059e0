"""What is done to a node while it works: a schedule from a seed, and each fault's doing."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from soak.world import World
from support.client import until
from vagus.daemon.failpoints import FAILPOINTS

__all__ = ["Fault", "Faults", "schedule"]

# How often each comes in one round, which is shuffled. The stages at which nothing is waited for
# are too short to be hit by chance: there the node is armed and dies by its own hand.
DEADLY = {"kill": 4, "kill at": 1, "kill in an outage": 1, "terminate": 1}
HARSH = {"cut": 1, "silence": 1, "flap": 1, "limit": 1, "websocket": 1, "reorg": 2}
MODEL = {"model dies": 1, "model": 1}
MODES = ("slow", "garbage", "limited", "broken", "cut")
ARMED = 25.0
"""Seconds within which an armed node must have died; an intent comes by sooner."""
READY = 300.0
"""Seconds after which a node that is not ready never will be."""


@dataclass(frozen=True)
class Fault:
    """One fault: to which chain, for how long, and with what (a failpoint, a mode, a depth)."""

    name: str
    chain: int
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.detail}".strip()


def schedule(seed: int, *, deadly: bool) -> Iterator[Fault]:
    """Faults for ever, round after round; with or without those that end the node."""
    dice = random.Random(f"{seed}/{'deadly' if deadly else 'harsh'}")
    while True:
        names = [name for name, count in (HARSH | MODEL).items() for _ in range(count)]
        if deadly:
            names += [name for name, count in DEADLY.items() for _ in range(count)]
        faults = [_draw(name, dice) for name in names if name != "kill at"]
        if deadly:
            faults += [Fault("kill at", 0, 0, point) for point in FAILPOINTS]
        dice.shuffle(faults)
        yield from faults


def _draw(name: str, dice: random.Random) -> Fault:
    detail = ""
    if name == "model":
        detail = dice.choice(MODES)
    if name == "reorg":
        # The block two below the newest is final: one or two can be replaced.
        detail = str(dice.randint(1, 2))
    return Fault(name, dice.randrange(2), dice.uniform(2.0, 6.0), detail)


@dataclass
class Faults:
    """Does faults, one after the other, and keeps what came of them.

    `killed` are the times (node's clock) at which a node had died by SIGKILL, `ready` the seconds
    from each start to ready, `ended` those from SIGTERM to the end.
    """

    world: World
    done: Counter[str] = field(default_factory=Counter)
    killed: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    now: str = ""
    lifetimes: int = 0

    async def start(self) -> None:
        """Start the node, and wait until it is ready."""
        self.lifetimes += 1
        node, began = self.world.node, time.monotonic()
        await node.launch()
        await node.serving()
        await until(
            lambda: node.get("/readyz"), lambda got: got[0] == 200, within=READY, every=0.05
        )
        self.ready.append(time.monotonic() - began)

    async def end(self) -> None:
        """End the node as its operator does."""
        began = time.monotonic()
        self.world.node.send(signal.SIGTERM)
        code = await self.world.node.ended()
        assert code == 0, f"SIGTERM ended the node with {code}"
        self.ended.append(time.monotonic() - began)

    async def run(self, faults: Iterator[Fault], every: float, stop: asyncio.Event) -> None:
        """Do one every so many seconds until `stop`; never two at a time, and none is left half."""
        due = time.monotonic()
        while True:
            due = max(due + every, time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - time.monotonic()):
                    await stop.wait()
            if stop.is_set():
                return
            fault = next(faults)
            self.now = str(fault)
            await self._do(fault)
            self.now = ""
            self.done[str(fault)] += 1

    async def _do(self, fault: Fault) -> None:
        world = self.world
        rpc = world.rpc[fault.chain]
        match fault.name:
            case "cut" | "silence" | "flap" | "limit":
                await getattr(rpc, fault.name)(fault.seconds)
            case "websocket":
                await world.ws[fault.chain].flap(fault.seconds)
            case "reorg":
                await self._reorganise(fault)
            case "model dies":
                await world.model.kill()
                await asyncio.sleep(fault.seconds)
                await world.model.start()
            case "model":
                await world.model.mode(fault.detail)
                await asyncio.sleep(fault.seconds)
                await world.model.mode("well")
            case "kill":
                await self._kill()
                await self.start()
            case "kill at":
                await self._kill()
                await self._die_at(fault.detail)
                await self.start()
            case "kill in an outage":
                async with asyncio.TaskGroup() as group:
                    group.create_task(rpc.cut(fault.seconds), name="outage")
                    await self._kill()
                    self.lifetimes += 1
                    await world.node.launch()
                    await world.node.serving()
            case "terminate":
                await self.end()
                await self.start()

    async def _reorganise(self, fault: Fault) -> None:
        """Replace the newest blocks while none is made.

        One that came in between would make it deeper by one: a final block would be replaced.
        """
        async with self.world.miners[fault.chain].held:
            await self.world.anvils[fault.chain].call("anvil_reorg", int(fault.detail), [])

    async def _kill(self) -> None:
        await self.world.node.kill()
        self.killed.append(time.time())

    async def _die_at(self, point: str) -> None:
        """Start a node that dies at a failpoint, and wait until it has."""
        self.lifetimes += 1
        await self.world.node.launch(point)
        try:
            code = await self.world.node.ended(ARMED)
        except TimeoutError:
            await self.world.node.kill()
            self.done[f"nobody came by {point}"] += 1
        else:
            assert code == -signal.SIGKILL, f"armed at {point}, the node ended with {code}"
        self.killed.append(time.time())
