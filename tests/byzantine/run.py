"""The suite from its first case to its last, on one pair of chains and one committee."""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from byzantine.cases import CASES, DEATHS, Case, Stage, calm, kill
from byzantine.judge import faults_of, grouped, latencies
from byzantine.questions import TTL, Question, question
from byzantine.world import HONEST, SIZE, THRESHOLD, World, world

__all__ = ["Finding", "Options", "Run"]

PROGRESS = 10.0


@dataclass(frozen=True)
class Options:
    """What the command line says; `rate` in questions a second, `cases` are parts of names."""

    intents: int
    rate: float
    seed: int
    cases: tuple[str, ...]


@dataclass
class Finding:
    """What came of one case. Seconds are of this machine, `latency` of the chains."""

    case: Case
    asked: int
    wrong: Counter[str]
    musts: dict[str, int]
    latency: dict[str, int]
    signers: float
    done: Counter[str]
    dead: list[int]
    seconds: float
    starting: float

    @property
    def idle(self) -> str:
        """Why the case has shown nothing; empty where what it is about did happen."""
        if self.dead:
            return f"nodes ended by themselves: {', '.join(map(str, self.dead))}"
        if self.case.script is kill and self.done["killed"] < len(DEATHS):
            return f"a leader was killed at {self.done['killed']} of {len(DEATHS)} stages"
        return "" if self.done or not self.case.does else "what it is about never happened"

    @property
    def right(self) -> bool:
        """Whether it is as it must be: for a seeded bug, that the judge found a wrong answer."""
        if self.case.seeded:
            return self.musts["wrong answers"] > 0
        return not self.idle and not any(self.musts.values())


@dataclass
class Run:
    """One run, and all that it has found."""

    options: Options
    folder: Path
    say: Callable[[str], None]
    findings: list[Finding] = field(default_factory=list)

    async def __call__(self) -> None:
        """Do it all. What goes wrong with the suite itself raises; what it finds does not."""
        chosen = [
            each
            for each in CASES
            if not self.options.cases or any(part in each.name for part in self.options.cases)
        ]
        async with world(self.folder, self.options.seed, self.say) as found:
            for case in chosen:
                self.findings.append(await self._case(case, found))

    async def _case(self, case: Case, found: World) -> Finding:
        began = time.monotonic()
        self.say(f"{case.name}: starting its nodes")
        before = Counter[str]()
        for member in found.members:
            before.update(member.did())
        forged, strangers = len(found.forger.forged), found.books.strangers()
        async with asyncio.TaskGroup() as group:
            for member in found.members:
                life = case.lives.get(member.number, HONEST)
                group.create_task(member.live(life), name=f"start {member.number}")
        started = time.monotonic()
        planned = max(SIZE, int(self.options.intents * case.share))
        stage = Stage(found, planned, self._asking(case), self.say)
        await self._play(case, stage)
        questions = stage.asked
        done = stage.done + calm(found)
        for member in found.members:
            done.update(member.did())
        done.subtract(before)
        done["intents forged"] = len(found.forger.forged) - forged
        wrong = Counter[str]()
        for each in questions:
            wrong.update(faults_of(each, found.books, found.signers, THRESHOLD))
        return Finding(
            case,
            len(questions),
            wrong,
            grouped(wrong, found.books.strangers() - strangers),
            _spread(latencies(questions, found.books)),
            _signers(questions, found),
            +done,
            [each.number + 1 for each in found.members if each.node.returncode is not None],
            time.monotonic() - began,
            started - began,
        )

    def _asking(self, case: Case) -> Iterator[Question]:
        """All questions of a case, as many as are wanted."""
        return (question(self.options.seed, case.name, at) for at in itertools.count())

    async def _play(self, case: Case, stage: Stage) -> None:
        """Let a case's script ask its questions, and wait until they have ended."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(case, stage), name="read")
            await case.script(stage, self.options.rate)
            await _until_ended(stage)
            reading.cancel()

    async def _read(self, case: Case, stage: Stage) -> None:
        """Read the chains on and on, and say how far it is."""
        began = said = time.monotonic()
        while True:
            await stage.world.read()
            now = time.monotonic()
            if now - said > PROGRESS:
                said = now
                self.say(
                    f"{case.name}: {stage.ended} of {len(stage.asked)} ended, {now - began:.0f} s"
                )
            await asyncio.sleep(1)


async def _until_ended(stage: Stage) -> None:
    """Wait until all questions have ended, or the last one should have."""
    until = time.monotonic() + TTL
    while stage.ended < len(stage.asked) and time.monotonic() < until:
        await asyncio.sleep(0.5)


def _spread(seconds: list[int]) -> dict[str, int]:
    if not seconds:
        return {}
    return {
        "median": int(statistics.median(seconds)),
        "99%": seconds[len(seconds) * 99 // 100],
        "longest": seconds[-1],
    }


def _signers(questions: Sequence[Question], found: World) -> float:
    """How many signatures a delivery had, on average."""
    counts = [
        len(delivery.signers)
        for each in questions
        for intent in found.books.of(each)
        for _, delivery in intent.delivered
    ]
    return statistics.mean(counts) if counts else 0.0
