"""How long intents stand at each stage, as the journal's own times have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from vagus.daemon.journal.records import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vagus.daemon.journal.base import Journal

__all__ = ["StageDurations"]

EDGES = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
# Lines of history summed up at once: the journal has other readers, who wait meanwhile.
_SPAN = 20_000


class StageDurations(Collector):
    """A histogram that the journal is summed up into, so that no transition pays for it."""

    def __init__(self) -> None:
        self._counts = {stage: [0] * (len(EDGES) + 1) for stage in Stage if not stage.ended}
        self._sums = dict.fromkeys(self._counts, 0.0)
        self._until: int | None = None

    async def advance(self, journal: Journal) -> None:
        """Take in what the journal got since the last time; the first time, nothing."""
        newest = await journal.newest_key()
        if self._until is None:
            self._until = newest
        while self._until < newest:
            until = min(newest, self._until + _SPAN)
            for stage, over, count, seconds in await journal.stage_seconds(
                self._until, until, EDGES
            ):
                if stage in self._counts:  # an orphaned intent that came back left an end
                    self._counts[stage][over] += count
                    self._sums[stage] += seconds
            self._until = until

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram."""
        family = HistogramMetricFamily(
            "vagus_stage_duration_seconds",
            "Time that an intent stood at a stage before it left it",
            labels=["stage"],
            unit="seconds",
        )
        for stage, counts in self._counts.items():
            below, buckets = 0, []
            for edge, count in zip((*map(str, EDGES), "+Inf"), counts, strict=True):
                below += count
                buckets.append((edge, float(below)))
            family.add_metric([stage.name.lower()], buckets, self._sums[stage])
        yield family
