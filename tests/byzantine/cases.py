"""What is done to the committee: who lies and how, and what happens while it is asked."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from byzantine.questions import Question
from byzantine.relay import CLEAR, Weather
from byzantine.world import HONEST, SIZE, Life, World
from vagus.daemon.failpoints import FAILPOINTS

__all__ = ["CASES", "DEATHS", "Case", "Stage"]

LIAR = SIZE - 1
HOUR = 3600
STORM = Weather(drop=0.25, double=0.2, delay=0.4, late=2.0)
# Who hears whom, and for how many seconds; whole in between.
PARTITIONS = (
    (({0, 1}, {2, 3}), 8),
    (({0, 1, 2}, {3}), 6),
    (({0}, {1}, {2}, {3}), 8),
    (({0, 2}, {1, 3}), 8),
)
WHOLE = 3.0
# Where a leader is killed: as it says something of the agreement, and at each stage of the pipeline.
SAID = ("COMMIT", "PROPOSAL", "PREVOTE", "PRECOMMIT", "SIGNATURE")
DEATHS = (
    *(f"{kind}:{moment}" for kind in SAID for moment in ("journalled", "sent")),
    *FAILPOINTS,
)
# Seconds until an armed node has led one of its questions and died; then more are asked, so often.
PATIENCE, MORE, TRIES = 6.0, 8, 10
TICK = 0.25


class Stage:
    """Where a case is played: it asks `planned` questions, or more, and counts what it has done."""

    def __init__(
        self,
        world: World,
        planned: int,
        questions: Iterator[Question],
        say: Callable[[str], None],
    ) -> None:
        self.world = world
        self.say = say
        self.planned = planned
        self.asked: list[Question] = []
        self.done = Counter[str]()
        self._questions = questions

    @property
    def ended(self) -> int:
        """How many of its questions have ended."""
        return self.world.books.ended(self.asked)

    async def ask(self, count: int, rate: float) -> None:
        """Ask so many more, so many a second."""
        loop = asyncio.get_running_loop()
        began, done = loop.time(), 0
        while done < count:
            due = min(count, int((loop.time() - began) * rate) + 1)
            some = list(itertools.islice(self._questions, due - done))
            self.asked += some
            await self.world.ask(some)
            done = due
            await asyncio.sleep(TICK)


async def ask(stage: Stage, rate: float) -> None:
    """Ask, and do nothing else."""
    await stage.ask(stage.planned, rate)


async def storm(stage: Stage, rate: float) -> None:
    """Drop, double, delay and reorder on the way to each member, to the end."""
    for member in stage.world.members:
        member.relay.weather = STORM
    await stage.ask(stage.planned, rate)


async def part(stage: Stage, rate: float) -> None:
    """Cut the committee apart in several ways, and heal it each time."""
    members = stage.world.members
    for parts, seconds in PARTITIONS:
        for group in parts:
            unheard = {member.topic for member in members if member.number not in group}
            for number in group:
                members[number].relay.unheard = frozenset(unheard)
        stage.done["partitions"] += 1
        await stage.ask(stage.planned // len(PARTITIONS), rate)
        await asyncio.sleep(seconds)
        for member in members:
            member.relay.unheard = frozenset()
        await asyncio.sleep(WHOLE)


async def kill(stage: Stage, rate: float) -> None:
    """Let each member in turn die at several stages, one after the other, as it leads."""
    each = stage.planned // len(DEATHS) + 1
    for member in stage.world.members:
        for death in DEATHS[member.number :: SIZE]:
            pipeline = death in FAILPOINTS
            await member.live(Life(failpoint=death) if pipeline else Life(f"dies:{death}"))
            await stage.ask(each, rate)
            for _ in range(TRIES):
                if await _dead(member.node.ended(PATIENCE)):
                    stage.done["killed"] += 1
                    stage.say(f"killed at {death}")
                    break
                # None of these was led by it.
                await stage.ask(MORE, rate)
        await member.live(HONEST)


@dataclass(frozen=True)
class Case:
    """One case; `lives` are the members that do not live an honest life in it.

    `script` asks its questions, so many a second. `seeded` is a committee with more liars than it stands: the judge
    has to find it.
    """

    name: str
    lives: Mapping[int, Life] = field(default_factory=dict)
    script: Callable[[Stage, float], Awaitable[None]] = ask
    seeded: bool = False
    share: float = 1.0
    """Of the questions of the other cases."""

    @property
    def does(self) -> bool:
        """Whether anyone counts what is done in it."""
        liars = (life.behaviour or life.config != HONEST.config for life in self.lives.values())
        return self.script is not ask or any(liars)


async def _dead(ended: Awaitable[int]) -> bool:
    with contextlib.suppress(TimeoutError):
        await ended
        return True
    return False


def calm(world: World) -> Counter[str]:
    """End all weather; what it has done so far."""
    done = Counter[str]()
    for member in world.members:
        member.relay.weather, member.relay.unheard = CLEAR, frozenset()
        done.update(member.relay.done)
        member.relay.done.clear()
    return done


CASES = (
    Case("all are honest"),
    Case("lies about the output", {LIAR: Life("lies", "lying")}),
    Case("signs everything", {LIAR: Life("signs everything", "wavering")}),
    Case("withholds", {LIAR: Life("withholds")}),
    Case("a forged RPC", {LIAR: Life(config="deceived")}),
    Case("replays", {LIAR: Life("replays")}),
    Case("a bad broker", script=storm),
    Case("partitions that heal", script=part),
    Case("the leader is killed", script=kill),
    Case("clocks an hour off", {0: Life(clock=-HOUR), LIAR: Life(clock=HOUR)}),
    Case(
        "SEEDED: two sign before lock",
        {1: Life("signs before lock"), 2: Life("signs before lock"), LIAR: Life("lies", "lying")},
        seeded=True,
        share=0.2,
    ),
)
