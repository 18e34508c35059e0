"""One soak from its first question to its last: two thirds under deadly faults, one third without.

The last third has cuts, floods, reorgs and bad models as well, but the node is let live: its memory
is measured over that life.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from soak.asking import Asker
from soak.faults import Faults, schedule
from soak.oracle import Oracle
from soak.questions import REFUNDED, SETTLED, Question, question
from soak.usage import Usage
from soak.world import World, world

__all__ = ["Options", "Run"]

PROGRESS = 5.0
# So long, without a single end, after which what has not ended is lost. Held questions take 75 s.
PATIENCE = 150.0
# Past every deadline and the hub's grace: whoever is not settled is refunded now.
WARP = 2 * 3600 + 600


@dataclass(frozen=True)
class Options:
    """What the command line says; `rate` in questions a second, `every` in seconds."""

    intents: int
    rate: float
    every: float
    seed: int


@dataclass
class Run:
    """One soak, and all that it found: it can be looked at whenever it ends."""

    options: Options
    folder: Path
    say: Callable[[str], None]
    questions: list[Question] = field(default_factory=list)
    asker: Asker | None = None
    oracle: Oracle | None = None
    faults: Faults | None = None
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    """From the first question to the last end."""
    quiet_pid: int = 0
    """The process that lived through the last third."""
    nonces: list[int] = field(default_factory=list)
    """Transactions of the node's account in blocks, by chain."""
    balances: list[int] = field(default_factory=list)
    """What each hub has at the end, wei."""
    calls: int = 0
    """RPC calls of the node, over all its lives."""
    complete: bool = False
    """Whether it came to its end, well or not."""

    @property
    def journal(self) -> Path:
        return self.folder / "data" / "journal.sqlite"

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    async def __call__(self) -> None:
        """Do it all. What goes wrong with the soak itself raises; what it finds does not."""
        async with world(self.folder, self.say) as found:
            self.asker = Asker(found.chains, found.requesters)
            self.oracle = Oracle(found.chains)
            self.faults = Faults(found)
            await self.asker.start()
            await self.oracle.read()
            await self.faults.start()
            self.say(f"The node was ready after {self.faults.ready[0]:.1f} s; asking")
            async with asyncio.TaskGroup() as group:
                pid, ended = (lambda: found.node.pid), (lambda: self._oracle.ended)
                runners = [
                    group.create_task(self.oracle.follow(), name="oracle"),
                    group.create_task(self.asker.insist(), name="insist"),
                    group.create_task(self.usage.follow(pid, ended), name="usage"),
                    group.create_task(self._progress(), name="progress"),
                ]
                await self._ask(found)
                await self._refund()
                for runner in runners:
                    runner.cancel()
            await self._look(found)
            await self.faults.end()
            self.calls = sum(link.calls for link in found.rpc)
            self.complete = True

    async def _ask(self, found: World) -> None:
        began = time.monotonic()
        options = self.options
        self.questions = [question(options.seed, number) for number in range(options.intents)]
        deadly = options.intents * 2 // 3
        await self._under(self.questions[:deadly], deadly=True)
        self.quiet_pid = found.node.pid
        await self._under(self.questions[deadly:], deadly=False)
        await self._until(sum(each.kind.state == SETTLED for each in self.questions))
        self.seconds = time.monotonic() - began

    async def _under(self, questions: list[Question], *, deadly: bool) -> None:
        """Ask while faults are done, and let the last of them end."""
        assert self.faults is not None
        assert self.asker is not None
        stop = asyncio.Event()
        faults = schedule(self.options.seed, deadly=deadly)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.faults.run(faults, self.options.every, stop), name="faults")
            await self.asker.ask(questions, self.options.rate)
            stop.set()

    async def _until(self, ended: int) -> None:
        """Wait until so many have ended, or none does any more."""
        seen, at = -1, time.monotonic()
        while self._oracle.ended < ended and time.monotonic() - at < PATIENCE:
            if self._oracle.ended != seen:
                seen, at = self._oracle.ended, time.monotonic()
            await asyncio.sleep(0.5)

    async def _refund(self) -> None:
        """Let time pass, and take back the fees of those that go to no hub."""
        assert self.asker is not None
        assert self.faults is not None
        open_ones = [
            (self._oracle.chains[each.origin], intent.id)
            for each in self.questions
            if each.kind.state == REFUNDED
            for intent in self._oracle.of(each)
        ]
        for anvil in self.faults.world.anvils:
            await anvil.warp(WARP)
        await self.asker.refund(open_ones)
        await self._until(self._oracle.ended + len(open_ones))

    async def _look(self, found: World) -> None:
        await self._oracle.read()
        self.say("Looking at the state of every intent on both chains")
        await self._oracle.look()
        for chain in found.chains:
            self.nonces.append(await chain.nonce(found.account))
            self.balances.append(await chain.balance(chain.addresses["hub"]))

    async def _progress(self) -> None:
        began, total = time.monotonic(), self.options.intents
        while True:
            await asyncio.sleep(PROGRESS)
            assert self.asker is not None
            assert self.faults is not None
            seconds = time.monotonic() - began
            samples = self.usage.samples
            resident = samples[-1].resident / 1e6 if samples else 0
            self.say(
                f"{seconds:6.0f} s  asked {self.asker.asked:,} of {total:,}"
                f"  ended {self._oracle.ended:,}  node {resident:.0f} MB"
                f"  killed {len(self.faults.killed)}  faults {self.faults.done.total()}"
                f"  {self.faults.now}"
            )

    @property
    def _oracle(self) -> Oracle:
        assert self.oracle is not None
        return self.oracle
