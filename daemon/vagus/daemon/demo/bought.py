"""What the demo's nodes bought of whom: by their own counters, and by the answers' evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from vagus.daemon.http_client import NodeError, get, get_bytes
from vagus.protocol.limits import MAX_EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vagus.daemon.demo.cases import Case
    from vagus.daemon.demo.nodes import DemoNode

__all__ = ["bought", "note_sellers"]

_MAX_METRICS = 4 << 20


async def bought(nodes: Sequence[DemoNode], model: str) -> list[dict[str, Any]]:
    """Return of each node (from 1) what each of its backends came to, since the node's start.

    served and failed count times that it was asked; cost and price are in the smallest unit of
    account, the price of 1,000,000 tokens read and written. state is the router's, reason in words;
    score and verified, its part for checked answers, too.
    """
    rows = []
    for at, node in enumerate(nodes, 1):
        text = await get_bytes(node.http, "/metrics", _MAX_METRICS)
        samples = list(_samples(text.decode()))
        found = await get(node.http, f"/v1/route?model={model}")
        candidates = [each for group in found["models"] for each in group["candidates"]]
        for each in candidates:
            name = each["backend"]
            tries = {
                labels["end"]: n
                for kind, labels, n in samples
                if kind == _TRIES and labels["backend"] == name
            }
            cost = sum(
                n for kind, labels, n in samples if kind == _COST and labels["backend"] == name
            )
            rows.append(
                {
                    "node": at,
                    "backend": name,
                    "network": each["network"],
                    "served": int(tries.pop("answered", 0)),
                    "failed": int(sum(tries.values())),
                    "cost": str(int(cost)),
                    "price": each["price"],
                    "state": each["state"],
                    "reason": each["why"],
                    "score": each["score"],
                    "verified": each["parts"]["verified"],
                }
            )
        rows += [
            {"node": at, "backend": each["backend"], "state": "out", "reason": each["rule"]}
            for each in found["out"]
        ]
    return rows


async def note_sellers(
    nodes: Sequence[DemoNode], cases: Sequence[Case], intents: Sequence[dict[str, Any]]
) -> None:
    """Put under `calls` of each intent who answered its model calls, as its evidence says."""
    for case, shown in zip(cases, intents, strict=True):
        digest = (case.seen or {}).get("evidence_hash")
        shown["calls"] = [] if digest is None else await _calls(nodes, digest)


async def _calls(nodes: Sequence[DemoNode], digest: str) -> list[dict[str, Any]]:
    for node in nodes:
        try:
            data = await get_bytes(node.http, f"/v1/evidence/{digest}", MAX_EVIDENCE)
        except NodeError:
            # A member that came late has it not: another one has.
            continue
        calls = msgspec.json.decode(data).get("calls", [])
        names = ("backend", "network", "region", "cost")
        return [{name: call[name] for name in names} for call in calls]
    return []


_TRIES, _COST = "vagus_route_tries_total", "vagus_model_cost_native_total"


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
