"""What each endpoint was asked and how it did, as its adapter counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vagus.adapters.base import ChainAdapter, Tally

__all__ = ["EndpointTallies"]

_ABOUT = {
    "requests": "Calls that an endpoint was sent",
    "failures": "Calls that an endpoint failed",
    "disagreements": "Answers that differed from those of a quorum",
}


class EndpointTallies(Collector):
    """Counters that adapters keep: they begin anew with an adapter, as after a resumed halt."""

    def __init__(self) -> None:
        self._tallies: list[tuple[str, str, Tally]] = []

    def take(self, adapters: Iterable[ChainAdapter]) -> None:
        """Take the adapters' counts of now."""
        self._tallies = [
            (adapter.chain, name, tally)
            for adapter in adapters
            for name, tally in adapter.tallies().items()
        ]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield a counter for each kind of count."""
        for kind, about in _ABOUT.items():
            labels = ["chain", "endpoint"]
            family = CounterMetricFamily(f"vagus_endpoint_{kind}", about, labels=labels)
            for chain, name, tally in self._tallies:
                family.add_metric([chain, name], getattr(tally, kind))
            yield family
