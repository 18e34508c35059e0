"""The model's schedules (`support.committee_sim`) in numbers, beside the cases: one process a core."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from support.committee_sim import simulate

__all__ = ["Schedules", "run_schedules"]

PART = 500
RIGHT = 1
# Behind the nodes of the cases, which have deadlines.
NICE = 19


@dataclass
class Schedules:
    """What came of them: `wrong` and `unfinished` are seeds, the rest sums; seconds are a processor's."""

    count: int = 0
    wrong: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    crashes: int = 0
    rounds: int = 0
    """The most that one took."""

    @property
    def right(self) -> bool:
        return not self.wrong and not self.unfinished

    def add(self, other: "Schedules") -> None:
        self.count += other.count
        self.wrong += other.wrong
        self.unfinished += other.unfinished
        self.crashes += other.crashes
        self.rounds = max(self.rounds, other.rounds)


async def run_schedules(count: int, say: Callable[[str], None]) -> Schedules:
    """Run the schedules of the seeds below `count`."""
    found, loop = Schedules(), asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, initializer=os.nice, initargs=(NICE,)) as pool:
        parts = [
            loop.run_in_executor(pool, _part, first, min(PART, count - first))
            for first in range(0, count, PART)
        ]
        try:
            for part in asyncio.as_completed(parts):
                found.add(await part)
                if found.count % (20 * PART) == 0:
                    say(f"schedules: {found.count:,} of {count:,}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return found


def _part(first: int, count: int) -> Schedules:
    found = Schedules(count)
    for seed in range(first, first + count):
        outcome = simulate(seed)
        values = set(outcome.decided.values())
        if len(values) > 1 or any(value[0] != RIGHT for value in values):
            found.wrong.append(seed)
        if len(outcome.decided) < outcome.honest:
            found.unfinished.append(seed)
        found.crashes += outcome.crashes
        found.rounds = max(found.rounds, outcome.rounds)
    return found
