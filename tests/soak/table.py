"""A verdict as a person reads it."""

from collections.abc import Iterator
from typing import Any

__all__ = ["table"]

READY_AIM = 5.0
STOP_AIM = 10.0
MEMORY_AIM = 1.0
STAGE_AIM = 100


def table(verdict: dict[str, Any]) -> str:
    """All of it, line by line."""
    return "\n".join(_lines(verdict))


def _lines(verdict: dict[str, Any]) -> Iterator[str]:
    yield "\nHow they ended, as the chains say"
    for kind, counts in verdict["kinds"].items():
        yield f"  {kind:<24}{counts.get('right', 0):>9,} right{counts.get('wrong', 0):>6,} wrong"
    yield "\nWhat must be 0"
    for name, count in verdict["must be 0"].items():
        yield f"  {name:<38}{count:>6,}"
    for name, count in (verdict["wrong"] | verdict["errors"]).items():
        yield f"    {count} times: {name}"
    yield "\nWhat was done to it"
    for name, count in sorted(verdict["faults"].items()):
        yield f"  {name:<32}{count:>5}"
    if verdict["complete"]:
        yield f"\nWhere intents stood when the node was killed ({verdict['kills']} times)"
    for stage, count in verdict["interrupted"].items():
        yield f"  {stage:<12}{count:>7,}{'' if count >= STAGE_AIM else f'   under {STAGE_AIM}'}"
    yield "\nFigures"
    for name, text in _figures(verdict):
        yield f"  {name:<28}{text}"
    if not verdict["complete"]:
        yield "\nstopped before its end: what was under way counts as lost above"
    elif verdict["right"]:
        yield "\nok"
    else:
        yield "\nNOT as it must be"


def _figures(verdict: dict[str, Any]) -> Iterator[tuple[str, str]]:
    asked, seconds = verdict["asked"], verdict["seconds"]
    options = verdict["options"]
    yield "asked", f"{asked:,} at {options['rate']:g} a second, seed {options['seed']}"
    if verdict["complete"]:
        yield "ended", f"in {seconds:,.0f} s, {asked / seconds:.1f} a second"
    if latency := verdict["latency"]:
        yield (
            "request to settlement",
            f"median {latency['median']} s, 99 % {latency['99%']} s, longest {latency['longest']} s",
        )
    if transactions := verdict["transactions"]:
        sent, needed = transactions["sent"], transactions["needed"]
        yield "transactions in blocks", f"{sent:,}, needed {needed:,}: {sent - needed} too many"
    yield "requests sent again", f"{verdict['resent']:,} (dropped by reorganisations)"
    yield "start to ready", _seconds(verdict["ready"], READY_AIM)
    yield "SIGTERM to end", _seconds(verdict["stopped"], STOP_AIM)
    if memory := verdict["memory"]:
        slope = memory["mb_per_100k"]
        said = "too few intents to say" if not memory["enough"] else _aim(slope, MEMORY_AIM)
        yield (
            "memory of the last life",
            f"{memory['warm_mb']} MB warm, {memory['last_mb']} MB after "
            f"{memory['intents']:,} intents",
        )
        yield "its slope", f"{slope} MB in 100,000 intents ({said})"
    if verdict["complete"]:
        yield "RPC calls", f"{verdict['rpc_calls']} an intent"
    yield "processor", f"{verdict['cpu_ms']} ms an intent"
    machine = verdict["machine"]
    yield "machine", f"{machine['cores']} cores, load {machine['load']} over the last 15 minutes"


def _seconds(spread: dict[str, float], aim: float) -> str:
    if not spread:
        return "never"
    said = _aim(spread["longest"], aim)
    return (
        f"{spread['times']} times, median {spread['median']} s, longest {spread['longest']} s "
        f"({said})"
    )


def _aim(found: float, aim: float) -> str:
    return f"aim: {aim:g}" if found <= aim else f"OVER the aim of {aim:g}"
