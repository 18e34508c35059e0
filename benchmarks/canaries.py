"""How many canaries it takes to tell another model: the table in docs/routing.md.

    python benchmarks/canaries.py [--questions 64] [--tokens 12] [--json FILE [--again]]

The trusted model is the local one as vagus runs it. Copies of it serve in its place: disturbed,
quantized again, with layers left out; and the model itself, whose every failed check is a false alarm.
All answer the same questions, made by `vagus.compute.routing.questions`, the model itself twice as many;
each answer is checked as `vagus.compute.routing.canary` does. The questions until the alarm are counted on 2,000
orders of those checks, drawn anew from them with a fixed seed; so are the false alarms, also for the
largest share of failed checks that what was seen of the model itself leaves possible. Needs the wheel gguf.
Takes 36 minutes on two busy cores; --json keeps the checks of a model as soon as they are there, and --again
makes the table of what it kept.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from rescoring import PATIENCE, copies, progress, rewritten, served
from vagus.compute import Answer, Model
from vagus.compute.routing import checks
from vagus.compute.routing.questions import question
from vagus.compute.routing.sequential import KNOWN, QUESTIONS, RESCORED, Check, Sequential
from vagus.daemon.fetch import model_path

ORDERS = 2000
ITSELF = "itself"
CHANGED = ("disturbed by 10 %", "quantized again, Q8_0", "quantized again, Q4_0")
WAYS = {"rescored": RESCORED, "known": KNOWN}
CONFIDENCE = 0.95
# Of each answer, whether it passed rescored, and compared.
Checks = list[tuple[bool, bool]]


def others(folder: Path) -> dict[str, Path]:
    """Models that are not the one that is sold."""
    changed = copies(folder)
    return {
        **{name: changed[name] for name in CHANGED},
        "one layer of 30 left out": rewritten(folder / "less-1.gguf", without=[15]),
        "three layers left out": rewritten(folder / "less-3.gguf", without=[9, 15, 21]),
    }


async def answered(path: Path, sold: Model, count: int, tokens: int) -> list[Answer]:
    """What a model answers to so many questions, four at once."""
    async with served(path) as backend:
        (model,) = await backend.models()
        slots = asyncio.Semaphore(4)

        async def one(number: int) -> Answer:
            # Whoever serves another model says that it is this one.
            asked = msgspec.structs.replace(question(sold, number, tokens), model=model)
            async with slots:
                return await backend.complete(asked, timeout=PATIENCE)

        return await asyncio.gather(*map(one, range(count)))


async def checked(
    sold: Model, said: Sequence[Answer], own: Sequence[Answer], tokens: int
) -> Checks:
    """Whether each answer passes: rescored, and compared with the trusted model's own."""
    async with served(model_path()) as trusted:
        slots = asyncio.Semaphore(3)

        async def one(number: int, answer: Answer) -> tuple[bool, bool]:
            async with slots:
                passed = await checks.rescored(trusted, question(sold, number, tokens), answer)
            begins = slice(checks.BEGINNING)
            return passed, own[number].text[begins] == answer.text[begins]

        return await asyncio.gather(*(one(*each) for each in enumerate(said)))


async def measured(folder: Path, options: argparse.Namespace) -> dict[str, Checks]:
    """The checks of each model; the model itself is asked twice as much, since its failures are rare."""
    paths = {ITSELF: model_path(), **others(folder)}
    found: dict[str, Checks] = {}
    tokens, at_once = options.tokens, asyncio.Semaphore(2)
    async with served(model_path()) as trusted:
        (sold,) = await trusted.models()

    async def row(name: str, own: asyncio.Task[list[Answer]]) -> None:
        count = options.questions * (2 if name == ITSELF else 1)
        async with at_once:
            progress(name)
            said = await answered(paths[name], sold, count, tokens)
            found[name] = await checked(sold, said, await own, tokens)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))

    async with asyncio.TaskGroup() as group:
        own = group.create_task(answered(model_path(), sold, 2 * options.questions, tokens))
        for name in paths:
            group.create_task(row(name, own))
    return {name: found[name] for name in paths}


def until_alarm(fails: Callable[[random.Random], bool], check: Check) -> list[float]:
    """Questions until the alarm, on so many orders of checks; infinite for none within QUESTIONS."""
    source, counts = random.Random(7), []
    for _ in range(ORDERS):
        test = Sequential()
        alarm = (at for at in range(1, QUESTIONS + 1) if test.note(not fails(source), check))
        counts.append(float(next(alarm, math.inf)))
    return sorted(counts)


def drawn(passed: Sequence[bool], check: Check) -> list[float]:
    """Questions until the alarm on orders drawn from checks."""
    return until_alarm(lambda source: not source.choice(passed), check)


def at_most(failed: int, of: int) -> float:
    """The largest share of failures that so many seen leave possible (Clopper and Pearson, one side)."""

    def seen(share: float) -> float:
        return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(failed + 1))

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) < 1 - CONFIDENCE else (middle, high)
    return high


def table(found: dict[str, Checks]) -> str:
    heads = [f"{way}: failed | questions: half, 95 %" for way in WAYS]
    rows = [f"| who answers | {' | '.join(heads)} |", "|---|---:|---:|---:|---:|"]
    for name, each in found.items():
        cells = []
        for way, check in enumerate(WAYS.values()):
            passed = [one[way] for one in each]
            counts = drawn(passed, check)
            half, most = (counts[int(ORDERS * share) - 1] for share in (0.5, 0.95))
            told = f"{half:.0f}, {most:.0f}" if math.isfinite(most) else "not told"
            cells.append(f"{passed.count(False)} of {len(passed)} | {told}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def false_alarms(each: Checks) -> str:
    """How many orders of the model's own checks alarm, as seen and at the worst that is possible."""
    lines = []
    for way, (name, check) in enumerate(WAYS.items()):
        passed = [one[way] for one in each]
        seen = drawn(passed, check)
        share = at_most(passed.count(False), len(passed))
        worst = until_alarm(lambda source, share=share: source.random() < share, check)  # type: ignore[misc]
        lines.append(
            f"{name}: {passed.count(False)} of {len(passed)} failed; "
            f"{sum(map(math.isfinite, seen))} of {ORDERS} orders alarm within {QUESTIONS} questions; "
            f"{sum(map(math.isfinite, worst))} where {share:.1%} fail, "
            f"the most that is possible with {CONFIDENCE:.0%} confidence"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=64, help="to each model")
    parser.add_argument("--tokens", type=int, default=12, help="the longest answer")
    parser.add_argument("--json", type=Path, help="where the checks are kept")
    parser.add_argument("--again", action="store_true", help="make the table of what --json has")
    options = parser.parse_args()
    if options.again:
        found: dict[str, Checks] = json.loads(options.json.read_text())
    else:
        checks.TIMEOUT = PATIENCE  # on a busy machine
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(measured(Path(folder), options))
    print(f"{table(found)}\n\nfalse alarms of the model itself\n{false_alarms(found[ITSELF])}")


if __name__ == "__main__":
    main()
