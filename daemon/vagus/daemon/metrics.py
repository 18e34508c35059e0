"""What the node counts, for Prometheus; names end in their unit as Prometheus asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from vagus.daemon.records import Stage

if TYPE_CHECKING:
    from vagus.daemon.journal import Journal
    from vagus.daemon.network import Network

__all__ = ["Metrics"]


class Metrics:
    """One node's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ended = Counter(
            "vagus_intents_ended",
            "Intents that ended, by their end",
            ["end"],
            registry=self.registry,
        )
        self._stages = Gauge(
            "vagus_intents", "Intents in the journal, by stage", ["stage"], registry=self.registry
        )
        self._heights = Gauge(
            "vagus_chain_height", "Heights read", ["chain", "head"], registry=self.registry
        )
        self._times = Gauge(
            "vagus_chain_time_seconds", "Chain time read", ["chain", "head"], registry=self.registry
        )

    async def render(self, journal: Journal, network: Network) -> bytes:
        """Return the metrics in Prometheus' text format, with the gauges read now."""
        counts = await journal.counts()
        for stage in Stage:
            self._stages.labels(stage.name.lower()).set(counts.get(stage, 0))
        for adapter in network.adapters:
            if adapter.heads is not None:
                heads = {"latest": adapter.heads.latest, "final": adapter.heads.final}
                for head, block in heads.items():
                    self._heights.labels(adapter.chain, head).set(block.height)
                    self._times.labels(adapter.chain, head).set(block.time)
        return generate_latest(self.registry)
