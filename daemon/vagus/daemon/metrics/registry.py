"""What the node counts, for Prometheus: docs/metrics.md has every name, unit and label.

Labels have few values: no intent's id, no address, no text of a stranger. `native` is a chain's
smallest unit, which is wei on EVM chains.
"""

from __future__ import annotations

import asyncio
import platform
import shutil
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from vagus.daemon.elsewhere import Deed
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.metrics.committee import CommitteeMetrics
from vagus.daemon.metrics.durations import StageDurations
from vagus.daemon.metrics.routing import RoutingMetrics
from vagus.daemon.metrics.tallies import EndpointTallies

if TYPE_CHECKING:
    from pathlib import Path

    from vagus.compute import Usage
    from vagus.daemon.journal.base import Commit, Journal
    from vagus.daemon.status import Status

__all__ = ["Metrics"]

# Seconds: of a commit, of the loop's lag, of a model's answer.
_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_ENDS = ("fulfilled", "refused", "failed", "closed", "left", "missed", "orphaned")
# Seconds between two looks at the loop, and for which what was read is good.
_TICK = 0.5
_FRESH = 1.0


class Metrics:
    """One node's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        info = {"version": version("vagus"), "python": platform.python_version()}
        Info("vagus_build", "What runs", registry=registry).info(info)
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")

        def gauge(name: str, about: str, *labels: str, unit: str = "") -> Gauge:
            return Gauge(name, about, labels, unit=unit, registry=registry)

        def counter(name: str, about: str, *labels: str, unit: str = "") -> Counter:
            return Counter(name, about, labels, unit=unit, registry=registry)

        def seconds(name: str, about: str, edges: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, about, labels, unit="seconds", buckets=edges, registry=registry)

        self._ready = gauge("vagus_ready", "1 where /readyz answers 200")
        self._stages = gauge("vagus_intents", "Intents in the journal", "stage")
        self._waiting = gauge(
            "vagus_intent_waiting",
            "Longest that an intent stands at a stage",
            "stage",
            unit="seconds",
        )
        self._ended = counter("vagus_intents_ended", "Intents that this process saw end", "end")
        for end in _ENDS:
            self._ended.labels(end)  # what begins at 0 can be seen to grow
        self._elsewhere = counter(
            "vagus_keys_elsewhere", "Intents that show another node with this one's keys", "what"
        )
        for deed in Deed:
            self._elsewhere.labels(deed)
        self.durations = StageDurations()
        registry.register(self.durations)
        self._tallies = EndpointTallies()
        registry.register(self._tallies)
        self._committee = CommitteeMetrics()
        registry.register(self._committee)
        self._routing = RoutingMetrics()
        registry.register(self._routing)

        self._up = gauge("vagus_chain_up", "1 while a chain answers and its hub is read", "chain")
        self._halted = gauge("vagus_chain_halted", "1 while a chain waits for a person", "chain")
        self._heights = gauge(
            "vagus_chain_height",
            "Blocks: latest, final, read by this node",
            "chain",
            "head",
            unit="blocks",
        )
        self._lag = gauge(
            "vagus_chain_lag", "Age of a head by the node's clock", "chain", "head", unit="seconds"
        )
        self._quorum = gauge(
            "vagus_chain_quorum", "Endpoints that must agree", "chain", unit="endpoints"
        )
        self._endpoint_up = gauge(
            "vagus_endpoint_up", "1 where nothing is wrong", "chain", "endpoint"
        )
        self._endpoint_time = gauge(
            "vagus_endpoint_answer",
            "Time that it took to answer",
            "chain",
            "endpoint",
            unit="seconds",
        )
        self._balance = gauge("vagus_account_balance", "What it has", "chain", unit="native")
        self._runway = gauge(
            "vagus_account_runway",
            "Transactions that its balance pays for",
            "chain",
            unit="transactions",
        )

        self._model_up = gauge("vagus_backend_up", "1 where a backend answers", "backend")
        self._requests = counter(
            "vagus_model_requests", "Requests to models", "backend", "model", "result"
        )
        self._answer = seconds("vagus_model_answer", "Time of an answer", _LONG, "backend", "model")
        self._tokens = counter("vagus_model", "Tokens", "backend", "model", "kind", unit="tokens")
        self._cost = counter("vagus_model_cost", "Cost", "backend", "model", unit="native")

        self._commit = seconds("vagus_journal_commit", "Time of a commit", _SHORT)
        self._failures = counter("vagus_journal_failures", "Writes that failed")
        self._size = gauge("vagus_journal_size", "Size on disk", unit="bytes")
        self._free = gauge("vagus_journal_free", "Room left where it is", unit="bytes")
        self._loop = seconds("vagus_loop_lag", "How late the event loop wakes", _SHORT)
        self._listeners = gauge("vagus_event_listeners", "Clients of /v1/events")

    # What is counted as it happens

    def ended(self, record: IntentRecord) -> None:
        """Count an intent that ended, by its end: see docs/metrics.md for the words."""
        if record.stage == Stage.SETTLED and record.status is not None:
            end = record.status.name
        elif record.stage == Stage.LEFT and record.status is not None:
            end = "missed"  # answered, and not delivered by its deadline
        else:
            end = record.stage.name
        self._ended.labels(end.lower()).inc()
        if record.elsewhere:
            self._elsewhere.labels(record.elsewhere).inc()

    def model_answered(
        self, backend: str, model: str, usage: Usage, seconds: float, cost: int
    ) -> None:
        """Count a model's answer; `cost` in the smallest unit of the fee's coin."""
        self._requests.labels(backend, model, "answered").inc()
        self._answer.labels(backend, model).observe(seconds)
        self._tokens.labels(backend, model, "prompt").inc(usage.prompt)
        self._tokens.labels(backend, model, "completion").inc(usage.completion)
        self._cost.labels(backend, model).inc(cost)

    def model_failed(self, backend: str, model: str, again: bool) -> None:
        """Count a request that failed; `again` where it may succeed later."""
        self._requests.labels(backend, model, "failed" if again else "refused").inc()

    def committed(self, commit: Commit) -> None:
        """Count a commit of the journal."""
        self._commit.observe(commit.seconds)
        if commit.failed:
            self._failures.inc(commit.failed)

    async def watch_loop(self) -> None:
        """Measure, until cancelled, how late the event loop wakes who slept."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            self._loop.observe(max(0.0, loop.time() - due))

    # What is read when somebody asks

    async def render(self, status: Status, accept: str) -> tuple[bytes, str]:
        """Return the exposition that an Accept header asks for, and its content type.

        What is read is good for a second: scrapers that come together cost little more than one.
        """
        encoder, content_type = choose_encoder(accept)
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH:
                await self._read(status)
                self._read_at = time.monotonic()
        return encoder(self.registry), content_type

    async def _read(self, status: Status) -> None:
        await self._read_journal(status.journal, status.folder)
        faults = status.faults()
        self._ready.set(not faults)
        self._listeners.set(status.listeners)
        for backend in status.survey.backends:
            self._model_up.labels(backend.name).set(backend.fault is None)
        now = time.time()
        self._tallies.take(status.network.adapters)
        self._committee.take(status)
        self._routing.take(status)
        for chain in status.chain_views():
            name = chain.adapter.chain
            self._up.labels(name).set(chain.fault is None)
            self._halted.labels(name).set(chain.halted is not None)
            self._quorum.labels(name).set(chain.adapter.quorum[0])
            if chain.read is not None:
                self._heights.labels(name, "read").set(chain.read)
            if heads := chain.adapter.heads:
                for head, block in (("latest", heads.latest), ("final", heads.final)):
                    self._heights.labels(name, head).set(block.height)
                    self._lag.labels(name, head).set(now - block.time)
            for endpoint in chain.endpoints:
                self._endpoint_up.labels(name, endpoint.name).set(endpoint.fault is None)
                self._endpoint_time.labels(name, endpoint.name).set(endpoint.seconds)
            if chain.balance is not None:
                self._balance.labels(name).set(chain.balance.amount)
            if chain.runway is not None:
                self._runway.labels(name).set(chain.runway)

    async def _read_journal(self, journal: Journal, folder: Path) -> None:
        await self.durations.advance(journal)
        counts, waiting = await journal.counts(), await journal.waiting_since()
        now = time.time()
        for stage in Stage:
            self._stages.labels(stage.name.lower()).set(counts.get(stage, 0))
            if not stage.ended:
                since = waiting.get(stage, now)
                self._waiting.labels(stage.name.lower()).set(max(0.0, now - since))
        self._size.set(await journal.size())
        self._free.set(shutil.disk_usage(folder).free)
