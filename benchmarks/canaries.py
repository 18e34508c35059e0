"""How many canaries it takes to tell another model: the table in docs/routing.md.

    python benchmarks/canaries.py [--questions 24] [--tokens 16] [--json FILE]

The trusted model is the local one as vagus runs it. Copies of it serve in its place: disturbed,
quantized again, with layers left out; and the model itself, whose every failed check is a false alarm.
Each answers the questions of `vagus.compute.routing.questions`, other ones each; each answer is checked
as `vagus.compute.routing.canary` does. The questions until the alarm are counted on 2,000 orders of those
checks, drawn anew from them with a fixed seed. Needs the wheel gguf. Takes a quarter of an hour on two
cores.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from rescoring import PATIENCE, copies, progress, rewritten, served
from vagus.compute.backends.local import LocalBackend
from vagus.compute.routing import checks
from vagus.compute.routing.questions import question
from vagus.compute.routing.sequential import KNOWN, QUESTIONS, RESCORED, Check, Sequential
from vagus.daemon.fetch import model_path

ORDERS = 2000
CHANGED = ("disturbed by 10 %", "quantized again, Q8_0", "quantized again, Q4_0")
Checks = list[tuple[bool, bool]]


def others(folder: Path) -> dict[str, Path]:
    """The model, and others that are not the one that is sold."""
    changed = copies(folder)
    return {
        "itself": model_path(),
        **{name: changed[name] for name in CHANGED},
        "one layer of 30 left out": rewritten(folder / "less-1.gguf", without=[15]),
        "three layers left out": rewritten(folder / "less-3.gguf", without=[9, 15, 21]),
    }


async def answered(path: Path, at: int, options: argparse.Namespace) -> list[Any]:
    """Requests to a model, and its answers, four at once."""
    async with served(path) as backend:
        (model,) = await backend.models()
        slots = asyncio.Semaphore(4)

        async def one(number: int) -> Any:
            request = question(model, at * 100_000 + number, options.tokens)
            async with slots:
                return request, await backend.complete(request, timeout=PATIENCE)

        return await asyncio.gather(*(one(number) for number in range(options.questions)))


async def checked(trusted: LocalBackend, said: Sequence[Any]) -> Checks:
    """Whether each answer passes, rescored and compared."""
    (model,) = await trusted.models()
    slots = asyncio.Semaphore(2)

    async def one(request: Any, answer: Any) -> tuple[bool, bool]:
        # Whoever serves another model says that it is this one.
        sold = msgspec.structs.replace(request, model=model)
        async with slots:
            return (
                await checks.rescored(trusted, sold, answer),
                await checks.known(trusted, sold, answer),
            )

    return await asyncio.gather(*(one(*each) for each in said))


async def measured(folder: Path, options: argparse.Namespace) -> dict[str, Checks]:
    found: dict[str, Checks] = {}
    for at, (name, path) in enumerate(others(folder).items()):
        progress(name)
        said = await answered(path, at, options)
        async with served(model_path()) as trusted:
            found[name] = await checked(trusted, said)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    return found


def until_alarm(passed: Sequence[bool], check: Check) -> list[float]:
    """Questions until the alarm, on so many orders drawn from the checks; infinite for none."""
    source, counts = random.Random(7), []
    for _ in range(ORDERS):
        test = Sequential()
        alarm = (at for at in range(1, QUESTIONS + 1) if test.note(source.choice(passed), check))
        counts.append(float(next(alarm, math.inf)))
    return sorted(counts)


def table(found: dict[str, Checks]) -> str:
    rows = [
        "| who answers | rescored: failed | questions: half, 95 % | known: failed | questions: half, 95 % |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        cells = []
        for way, check in enumerate((RESCORED, KNOWN)):
            passed = [one[way] for one in each]
            counts = until_alarm(passed, check)
            half, most = (counts[int(ORDERS * share) - 1] for share in (0.5, 0.95))
            told = f"{half:.0f}, {most:.0f}" if math.isfinite(most) else "not told"
            cells.append(f"{passed.count(False)} of {len(passed)} | {told}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=24, help="to each model")
    parser.add_argument("--tokens", type=int, default=16, help="the longest answer")
    parser.add_argument("--json", type=Path, help="where the checks are written")
    options = parser.parse_args()
    checks.TIMEOUT = PATIENCE  # on a busy machine
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measured(Path(folder), options))
    print(table(found))


if __name__ == "__main__":
    main()
