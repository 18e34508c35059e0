"""What a node takes: its memory over each of its lives, and its processor time over all."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample", "Usage", "slope"]

TICK = os.sysconf("SC_CLK_TCK")
EVERY = 1.0


@dataclass(frozen=True)
class Sample:
    """One look: which process, how many intents had ended by then, its resident bytes."""

    pid: int
    ended: int
    resident: int


class Usage:
    """Looks at a node's process each second."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._seconds: dict[int, float] = {}

    @property
    def cpu_seconds(self) -> float:
        """Of all processes together. What one used in its last second is not in it."""
        return sum(self._seconds.values())

    async def follow(self, pid: Callable[[], int], ended: Callable[[], int]) -> None:
        """Look for ever."""
        while True:
            self.look(pid(), ended())
            await asyncio.sleep(EVERY)

    def look(self, pid: int, ended: int) -> None:
        """Take a sample, if the process is there."""
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return
        kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        if kilobytes:  # none while it is a zombie
            self.samples.append(Sample(pid, ended, int(kilobytes[0]) * 1024))
            self._seconds[pid] = (int(stat[11]) + int(stat[12])) / TICK

    def of(self, pid: int) -> list[Sample]:
        """The samples of one life."""
        return [sample for sample in self.samples if sample.pid == pid]


def slope(samples: list[Sample], warm_up: int) -> float | None:
    """Bytes a node grows by with each intent, by least squares behind the first `warm_up` of them.

    None where there is too little to say.
    """
    if not samples:
        return None
    first = samples[0].ended + warm_up
    points = [(sample.ended, sample.resident) for sample in samples if sample.ended >= first]
    count = len(points)
    if count < 2:
        return None
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
