"""The router beside other policies, on one simulated market: the tables in docs/benchmarks.md.

    python benchmarks/routing [--backends 1,3,10,100,1000] [--seeds 101,102,103] [--calls 2000]

Calls come at random times, two a second; backends have log-normal speeds with Pareto tails, fail in
bursts, change their prices, refuse what is over their limit; one dies and one turns slow on the way. All
policies meet the same trace in virtual time. The router is vagus' own code, and so is LiteLLM's: the
latter in an environment of its own, which is made in the user's cache on the first run.

Seeds from 101 on are for scoring. The router's numbers were found on seeds 1 to 20 alone.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clock import run
from policies import SIMPLE, Policy, Result, fixed, foreseeing, play
from vagus_router import overhead
from vagus_router import policy as vagus
from world import DEADLINE, World

from vagus.compute.cache import cache_dir

RATE = 2.0
# The aim: a p99 of so much of random's.
AIM = 1 / 3
HERE = Path(__file__).parent
PINNED = HERE.parents[1] / "requirements" / "bench.txt"
# Calls of a fixed backend that decide which are run in full, and how many are.
SAMPLE, FINALISTS = 200, 3
TIMED = {"overhead": True, "seeds": [1], "calls": 50, "rate": RATE}
DEFAULTS = {"retries": None, "timeout": DEADLINE}
# As many tries as vagus' router makes, each short enough that the next one has time.
TRIES = {"retries": 3, "timeout": DEADLINE / 3}
LITELLM: dict[str, dict[str, Any]] = {
    "LiteLLM, by latency": {"strategy": "latency-based-routing"},
    "LiteLLM, by cost": {"strategy": "cost-based-routing"},
    "LiteLLM, by latency, tuned": {"strategy": "latency-based-routing", **TRIES},
    "LiteLLM, by cost, tuned": {"strategy": "cost-based-routing", **TRIES},
}


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def played(make: Callable[[World], Policy], seed: int, backends: int, calls: int) -> Result:
    """Run a policy on a fresh world."""

    async def whole() -> Result:
        world = World(seed, backends, calls, RATE)
        return await play(world, make(world))

    return run(whole())


def best_fixed(seed: int, backends: int, calls: int) -> Result:
    """The best of those that always ask the same backend: most answers, then the fastest."""

    async def sampled() -> list[Result]:
        world = World(seed, backends, calls, RATE)
        world.calls = world.calls[:: max(1, calls // SAMPLE)]
        # Backends know nothing of each other: all are tried at once.
        numbers = range(backends)
        return await asyncio.gather(*(play(world, fixed(each)(world)) for each in numbers))

    def order(result: Result) -> tuple[float, float]:
        slow = result.quantile(0.99)
        return -round(result.success, 3), math.inf if math.isnan(slow) else slow

    found = run(sampled())
    finalists = sorted(range(backends), key=lambda each: order(found[each]))[:FINALISTS]
    return min((played(fixed(each), seed, backends, calls) for each in finalists), key=order)


def litellm_python() -> Path:
    """LiteLLM's environment; made on the first call."""
    pinned = PINNED.read_bytes()
    folder = cache_dir() / f"bench-{hashlib.sha256(pinned).hexdigest()[:16]}"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        progress(f"installing LiteLLM into {folder} (230 MB, once)")
        uv = Path(sys.executable).parent / "uv"
        base = [str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)]
        subprocess.run(base, check=True)
        install = [str(uv), "pip", "install", "-q", "--python", str(python), "--require-hashes"]
        subprocess.run([*install, "-r", str(PINNED)], check=True)
        ready.touch()
    return python


def litellm(settings: dict[str, Any]) -> Any:
    """What LiteLLM's side printed for these settings."""
    command = [str(litellm_python()), str(HERE / "litellm_router.py"), json.dumps(settings)]
    # Without the caller's keys and settings: LiteLLM reads many from its environment.
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=clean).stdout
    return json.loads(printed.splitlines()[-1])


def rows(options: argparse.Namespace, backends: int) -> dict[str, Result]:
    def pooled(name: str, one: Callable[[int], Result]) -> Result:
        progress(f"{backends} backends: {name}")
        return Result.pooled([one(seed) for seed in options.seeds])

    found = {"vagus": pooled("vagus", lambda seed: played(vagus, seed, backends, options.calls))}
    for name, make in SIMPLE.items():
        found[name] = pooled(
            name, lambda seed, make=make: played(make, seed, backends, options.calls)
        )
    name = "best fixed, in hindsight"
    found[name] = pooled(name, lambda seed: best_fixed(seed, backends, options.calls))
    name, within = (
        "best of each call, in hindsight",
        foreseeing(AIM * found["random"].quantile(0.99)),
    )
    found[name] = pooled(name, lambda seed: played(within, seed, backends, options.calls))
    if not options.no_litellm and backends <= options.litellm_most:
        for name, settings in LITELLM.items():
            progress(f"{backends} backends: {name}")
            whole = {**DEFAULTS, **settings, "seeds": options.seeds, "rate": RATE}
            results = litellm({**whole, "backends": backends, "calls": options.calls})
            found[name] = Result.pooled([Result(**each) for each in results])
    return found


def table(found: dict[str, Result]) -> str:
    lines = [
        "| policy | success | p50 | p99 | cost | tries a call | cancelled |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        lines.append(
            f"| {name} | {each.success * 100:.2f} % | {each.quantile(0.5):.2f} s |"
            f" {each.quantile(0.99):.2f} s | {each.cost:.1f} | {each.tries / each.calls:.3f} |"
            f" {each.cancelled / each.calls * 100:.1f} % |"
        )
    return "\n".join(lines)


def times(options: argparse.Namespace) -> str:
    """Each router's own µs for a call, by the number of backends."""
    heads = " | ".join(str(each) for each in options.backends)
    progress("the routers' own time: vagus")
    own = [f"{asyncio.run(overhead(each)):.0f} µs" for each in options.backends]
    lines = [
        f"| backends | {heads} |",
        "|---|" + "---:|" * len(own),
        f"| vagus | {' | '.join(own)} |",
    ]
    if options.no_litellm:
        return "\n".join([*lines, "", "LiteLLM was NOT tried."])
    for name, settings in list(LITELLM.items())[:2]:
        progress(f"the routers' own time: {name}")
        found = [
            litellm({**DEFAULTS, **settings, **TIMED, "backends": each})[0]
            for each in options.backends
        ]
        lines.append(f"| {name} | {' | '.join(f'{each:.0f} µs' for each in found)} |")
    return "\n".join(lines)


def aims(found: dict[str, Result]) -> str:
    """What was aimed at, and whether it was met."""
    own, cheap, blind = found["vagus"], found["cheapest first"], found["random"]
    tail, cost = own.quantile(0.99) / blind.quantile(0.99), own.cost / cheap.cost
    return (
        f"success {own.success * 100:.2f} % where cheapest first has {cheap.success * 100:.1f} %"
        f" (aim: 99.9 %), p99 {tail:.2f} of random's (aim: 0.33), cost {cost:.2f} of cheapest"
        " first's (aim: 1.10)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(each) for each in text.split(",")]  # noqa: E731 - argparse's type
    parser.add_argument("--backends", type=numbers, default=[1, 3, 10, 100, 1000])
    parser.add_argument("--seeds", type=numbers, default=[101, 102, 103])
    parser.add_argument("--calls", type=int, default=2000, help="of each seed")
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM out")
    parser.add_argument("--no-times", action="store_true", help="time no router")
    parser.add_argument(
        "--litellm-most", type=int, default=100, help="backends over which LiteLLM is left out"
    )
    options = parser.parse_args()
    print(f"Seeds {', '.join(map(str, options.seeds))}, {options.calls} calls of each, {RATE:g}/s.")
    for backends in options.backends:
        found = rows(options, backends)
        print(f"\n### {backends} backend{'s' if backends > 1 else ''}\n\n{table(found)}\n")
        print(aims(found))
        if options.no_litellm or backends > options.litellm_most:
            print(f"LiteLLM was NOT tried on {backends} backends.")
        sys.stdout.flush()
    if not options.no_times:
        print(f"\n### The router's own time for a call\n\n{times(options)}")


if __name__ == "__main__":
    main()
