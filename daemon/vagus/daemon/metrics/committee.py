"""What a member of a committee counts, read off it when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from vagus.daemon.committee.tally import Spread, Tally
    from vagus.daemon.status import Status

__all__ = ["CommitteeMetrics"]

# What begins at 0 can be seen to grow: of the others, docs/metrics.md has the words.
_RESULTS = ("taken", "again", "forged", "stale", "stranger", "malformed", "other message signed")


class CommitteeMetrics(Collector):
    """The committee's metrics; a node that is alone has none of their series."""

    def __init__(self) -> None:
        self._view: dict[str, Any] = {"transports": [], "envelopes": {}, "waits": None}
        self._tally: Tally | None = None
        # By chain, of the set of the hub there.
        self._present: dict[str, int] = {}
        self._needed: dict[str, int] = {}
        self._size: dict[str, int] = {}

    def take(self, status: Status) -> None:
        """Take what the committee has counted by now."""
        committee = status.committee
        if committee.alone:
            return
        self._view, self._tally = committee.view(), committee.tally
        self._view["envelopes"] = dict.fromkeys(_RESULTS, 0) | self._view["envelopes"]
        for adapter in status.network.adapters:
            state = status.network.known_state(adapter)
            if state is not None:
                signers = {*state.current.signers}
                self._present[adapter.chain] = len(committee.present() & signers)
                self._needed[adapter.chain] = state.current.threshold
                self._size[adapter.chain] = len(signers)

    def collect(self) -> Iterator[Metric]:
        """Yield what docs/metrics.md lists under the committee."""
        yield from self._members()
        yield from self._traffic()
        tally = self._tally
        disagreements = {} if tally is None else tally.disagreements
        yield _counter(
            "disagreements",
            "Proposals found wrong, other messages signed",
            ["what"],
            (([what], count) for what, count in sorted(disagreements.items())),
        )
        yield _spread(
            "agreement", "Time to agree on an intent", None if tally is None else tally.agreement
        )
        yield _spread(
            "signing", "Time to gather signatures", None if tally is None else tally.signing
        )
        yield _spread(
            "rounds",
            "Rounds to agree on an intent",
            None if tally is None else tally.rounds,
            unit="",
        )

    def _members(self) -> Iterator[Metric]:
        gate = GaugeMetricFamily(
            "vagus_committee_gate_closed", "1 while members must say how far the journal was"
        )
        if self._tally is not None:
            gate.add_metric([], float(self._view["waits"] is not None))
        yield gate
        for name, about, counts in (
            (
                "present",
                "Members of a hub's set that are here, this node among them",
                self._present,
            ),
            ("needed", "Members of a hub's set that must agree", self._needed),
            ("size", "Members of a hub's set", self._size),
        ):
            family = GaugeMetricFamily(
                f"vagus_committee_{name}_members", about, labels=["chain"], unit="members"
            )
            for chain, count in counts.items():
                family.add_metric([chain], count)
            yield family

    def _traffic(self) -> Iterator[Metric]:
        transports = self._view["transports"]
        yield _counter(
            "envelopes",
            "Envelopes that came",
            ["result"],
            (([name.replace(" ", "_")], n) for name, n in sorted(self._view["envelopes"].items())),
        )
        up = GaugeMetricFamily(
            "vagus_transport_up", "1 while anyone can be reached", labels=["transport"]
        )
        for each in transports:
            up.add_metric([each["name"]], float(each["connected"]))
        yield up
        for key, about in (
            ("received", "Envelopes that came over it"),
            ("reconnects", "Attempts to connect again"),
        ):
            family = CounterMetricFamily(f"vagus_transport_{key}", about, labels=["transport"])
            for each in transports:
                family.add_metric([each["name"]], each[key])
            yield family
        dropped = CounterMetricFamily(
            "vagus_transport_dropped", "Envelopes that it dropped", labels=["transport"]
        )
        for each in transports:
            dropped.add_metric([each["name"]], sum(each["dropped"].values()))
        yield dropped


def _counter(
    name: str, about: str, labels: list[str], values: Iterable[tuple[list[str], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"vagus_committee_{name}", about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _spread(
    name: str, about: str, spread: Spread | None, unit: str = "seconds"
) -> HistogramMetricFamily:
    whole = f"vagus_committee_{name}{unit and '_'}{unit}"
    family = HistogramMetricFamily(whole, about, unit=unit)
    if spread is not None:
        below, buckets = 0, []
        for edge, count in zip((*map(str, spread.edges), "+Inf"), spread.counts, strict=True):
            below += count
            buckets.append((edge, float(below)))
        family.add_metric([], buckets, spread.sum)
    return family
