"""What the router counted, and how it holds each backend now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from vagus.compute.routing import Router
    from vagus.daemon.status import Status

__all__ = ["RoutingMetrics"]

_STATES = {"closed": 0, "half-open": 1, "open": 2}
_ENDS = ("answered", "failed")


class RoutingMetrics(Collector):
    """Counters that the router keeps, from its node's start; none until the node can run agents."""

    def __init__(self) -> None:
        self._router: Router | None = None
        self._names: dict[tuple[str, bytes], str] = {}

    def take(self, status: Status) -> None:
        """Take the router, and the names of what its backends serve."""
        self._router = None if status.executor is None else status.executor.router
        self._names = {
            (backend.name, model.digest): model.name
            for backend in status.survey.backends
            for model in backend.served
        }

    def collect(self) -> Iterator[Metric]:
        """Yield the counters and the states."""
        if self._router is None:
            return
        tallies = self._router.tallies
        calls = CounterMetricFamily("vagus_route_calls", "Calls of agents", labels=["result"])
        for end in _ENDS:
            calls.add_metric([end], tallies.calls[end])
        yield calls
        moved = "Calls for which more than one backend was asked"
        yield CounterMetricFamily("vagus_route_moved", moved, value=tallies.moved)
        hedges = "Calls for which a second backend was asked beside a slow one"
        yield CounterMetricFamily("vagus_route_hedges", hedges, value=tallies.hedges)
        won = "Hedges that answered first"
        yield CounterMetricFamily("vagus_route_hedges_won", won, value=tallies.won)
        tries = CounterMetricFamily(
            "vagus_route_tries", "Times a backend was asked", labels=["backend", "model", "end"]
        )
        for (backend, model, end), count in tallies.tries.items():
            tries.add_metric([backend, model, end], count)
        yield tries
        lost = CounterMetricFamily(
            "vagus_route_lost",
            "What tries without an answer may be charged",
            labels=["backend", "model"],
            unit="native",
        )
        for (backend, model), amount in tallies.lost.items():
            lost.add_metric([backend, model], amount)
        yield lost
        yield from self._states(self._router)

    def _states(self, router: Router) -> Iterator[Metric]:
        labels = ["backend", "model"]
        breaker = GaugeMetricFamily(
            "vagus_route_breaker", "0 closed, 1 half-open, 2 open", labels=labels
        )
        shut = GaugeMetricFamily("vagus_route_quarantined", "1 while quarantined", labels=labels)
        for series in router.measurements:
            if series.key in self._names:
                names = [series.key[0], self._names[series.key]]
                breaker.add_metric(names, _STATES[series.breaker.state])
                shut.add_metric(names, series.trust.reason != "")
        yield breaker
        yield shut
