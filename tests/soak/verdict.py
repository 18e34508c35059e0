"""The verdict on a soak: what must hold, what it aims at, and what else was counted."""

import os
import sqlite3
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from soak.oracle import faults_of
from soak.run import Run
from soak.stages import interrupted
from soak.usage import slope
from vagus.daemon.journal.records import Stage

__all__ = ["Verdict", "judge"]

WARM_UP = 0.2
"""Of what a life carried: caches, pools and the allocator fill up first."""
ENOUGH = 20_000
"""Intents behind the warm-up from which a slope of 1 MB in 100,000 can be told from noise."""

Verdict = dict[str, Any]


def judge(run: Run) -> Verdict:
    """Everything a soak found, as JSON; `right` says whether it is as it must be."""
    assert run.oracle is not None
    assert run.asker is not None
    assert run.faults is not None
    kinds: dict[str, Counter[str]] = {}
    wrong = Counter[str]()
    for question in run.questions[: run.asker.asked]:
        found = faults_of(question, run.oracle.of(question))
        kinds.setdefault(question.kind.name, Counter())["wrong" if found else "right"] += 1
        wrong.update(found)
    wrong.update(dict(_money(run)))
    errors = _errors(run.log)
    stages = _stages(run.journal) if run.complete else {}
    ends = {
        "lost": sum(count for name, count in wrong.items() if name.startswith("lost")),
        "delivered twice": wrong["delivered twice"] + wrong["handed over not once"],
        "settled twice": wrong["settled twice"],
    }
    unfinished = {name: count for name, count in stages.items() if not Stage[name.upper()].ended}
    musts = {
        **ends,
        "otherwise wrong": wrong.total() - sum(ends.values()),
        "unfinished in the journal": sum(unfinished.values()),
        "errors in the node's log": errors.total(),
        "events of intents that nobody asked": run.oracle.strangers(),
    }
    return {
        "right": run.complete and not any(musts.values()),
        "complete": run.complete,
        "options": vars(run.options),
        "asked": run.asker.asked,
        "kinds": {name: dict(count) for name, count in kinds.items()},
        "must be 0": musts,
        "wrong": dict(wrong),
        "errors": dict(errors),
        "journal": stages,
        "transactions": _transactions(run),
        "faults": dict(run.faults.done),
        "kills": len(run.faults.killed),
        "interrupted": _interrupted(run),
        "ready": _spread(run.faults.ready),
        "stopped": _spread(run.faults.ended),
        "memory": _memory(run),
        "cpu_ms": round(1e3 * run.usage.cpu_seconds / max(1, run.oracle.ended), 2),
        "rpc_calls": round(run.calls / max(1, run.oracle.ended), 1),
        "seconds": round(run.seconds, 1),
        "latency": _latency(run),
        "resent": run.asker.resent,
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[2], 1)},
    }


def _money(run: Run) -> Iterator[tuple[str, int]]:
    """Nobody has withdrawn: each hub has what was paid into it, and owes all of it."""
    assert run.oracle is not None
    for chain, balance in zip(run.oracle.chains, run.balances, strict=False):
        paid = sum(
            each.escrow for each in run.oracle.intents.values() if each.origin == chain.number
        )
        if balance != paid:
            yield f"hub {chain.number} has {balance} wei, not the {paid} that were paid in", 1


def _errors(log: Path) -> Counter[str]:
    """What the node has logged as an error, or worse."""
    found = Counter[str]()
    if log.exists():
        with log.open("rb") as file:
            for line in file:
                try:
                    entry = orjson.loads(line)
                except orjson.JSONDecodeError:
                    found[f"no JSON: {line.decode(errors='replace').strip()[:60]}"] += 1
                else:
                    if entry["level"] in {"error", "critical"}:
                        found[entry["event"]] += 1
    return found


def _stages(journal: Path) -> dict[str, int]:
    """The intents at each stage of a journal that nobody uses."""
    with closing(sqlite3.connect(journal)) as db:
        rows = db.execute("SELECT stage, COUNT(*) FROM intents GROUP BY stage").fetchall()
    return {Stage(stage).name.lower(): count for stage, count in rows}


def _transactions(run: Run) -> dict[str, int]:
    """What the node's account sent, and how many of these the outcome needed."""
    assert run.oracle is not None
    if not run.complete:
        return {}
    intents = run.oracle.intents.values()
    needed = sum(len(each.delivered) + len(each.settled) for each in intents)
    return {"sent": sum(run.nonces), "needed": needed}


def _interrupted(run: Run) -> dict[str, int]:
    assert run.faults is not None
    if not run.complete:
        return {}
    found = interrupted(run.journal, run.faults.killed)
    return {stage.name.lower(): found[stage.name.lower()] for stage in Stage if not stage.ended}


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    middle = statistics.median(seconds)
    return {"times": len(seconds), "median": round(middle, 2), "longest": round(max(seconds), 2)}


def _memory(run: Run) -> dict[str, Any]:
    samples = run.usage.of(run.quiet_pid)
    if not samples:
        return {}
    carried = samples[-1].ended - samples[0].ended
    warm_up = int(carried * WARM_UP)
    found = slope(samples, warm_up)
    return {
        "intents": carried,
        "warm_mb": round(
            next(each.resident for each in samples if each.ended >= samples[0].ended + warm_up)
            / 1e6,
            1,
        ),
        "last_mb": round(samples[-1].resident / 1e6, 1),
        "mb_per_100k": None if found is None else round(found * 1e5 / 1e6, 2),
        "enough": carried - warm_up >= ENOUGH,
    }


def _latency(run: Run) -> dict[str, int]:
    """Seconds of the origin's time from an answered request to its settlement."""
    assert run.oracle is not None
    seconds = sorted(
        intent.ended_at - intent.asked_at
        for intent in run.oracle.intents.values()
        if intent.settled and intent.delivered
    )
    if not seconds:
        return {}
    return {
        "median": seconds[len(seconds) // 2],
        "99%": seconds[len(seconds) * 99 // 100],
        "longest": seconds[-1],
    }
