"""`vagus bench`: how fast this machine runs the node's own code."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import JsonOption, emit, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vagus.daemon.bench.chain import ChainBench
    from vagus.daemon.bench.limit import Limit
    from vagus.daemon.bench.pipeline import Run

__all__ = ["app"]

app = typer.Typer(help="Measure the node's own code on this machine.", no_args_is_help=True)

_LIMIT = Path("benchmarks/limits/run")
_LIMIT_IN_FLIGHT = 64


@app.callback()
def _group() -> None:
    """Measure the node's own code on this machine."""


@app.command()
def pipeline(
    in_flight: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=4096, help="Intents under way at once, once for each run. [default: 1, 64]"
        ),
    ] = None,
    intents: Annotated[int, typer.Option(min=10, max=1_000_000, help="Intents a run.")] = 2000,
    limit: Annotated[
        Path | None,
        typer.Option(
            help="The script to compare with. [default: benchmarks/limits/run of a checkout]"
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Where the journals are written, and removed again. [default: the system's temporary folder]",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Carry intents through the node's own pipeline, and compare with what this machine can do.

    An intent is seen in a block, journalled, answered by a model, signed, delivered on a second
    chain and settled on the first, with each record on disk before its effect. Journal, pipeline,
    agent, backend, keys and transactions are real. The two chains and the model's server are
    stand-ins that cost next to nothing, so what is measured is the node.

    intents/s   how many were settled in a second
    p50, p99    milliseconds from the request to SETTLED in the journal: half, 99 % are faster
    CPU         microseconds of processor an intent, all threads of the node together
    ratio       intents/s with 64 under way, over those of the limit: the same work as one flat
                script. Both are taken in this run, the limit before and after, since machines
                and their neighbours differ
    """
    from vagus.daemon.bench.pipeline import measure
    from vagus.daemon.bench.stub_model import running_model

    if limit is None and _LIMIT.is_file():
        limit = _LIMIT
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="vagus-bench-", dir=folder) as name:
        scratch = Path(name)
        _warn_of_memory(scratch)
        before = _measure_limit(limit, intents, scratch)
        with _logging_to(scratch / "node.log"), running_model() as url:
            for number, count in enumerate(in_flight or [1, 64]):
                say(f"{intents} intents, {count} in flight")
                runs.append(measure(url, count, intents, scratch / f"journal-{number}.sqlite"))
        after = _measure_limit(limit, intents, scratch)
    found = _mean(before, after)
    ratio = _ratio(runs, found)
    if found is None:
        say("THE LIMIT WAS NOT RUN: name it by --limit, or run this in a checkout; no ratio")
    if as_json:
        emit(
            {
                "runs": [asdict(run) for run in runs],
                "limit": asdict(found) if found else None,
                "ratio": ratio,
            }
        )
    else:
        _print(runs, found, ratio)


@app.command()
def chain(
    intents: Annotated[
        int, typer.Option(min=100, max=100_000, help="Intents of the backlog.")
    ] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Read a backlog of intents from a real chain and deliver to it, and tell whose time it takes.

    The chain is anvil, with a hub on it. A bare client asks the same things in the same run and
    looks at no answer: that time is the chain's, the rest is the node's. web3.py decodes the same
    logs, to compare with. Where two of three endpoints must agree, all three are the one anvil.

    chain s     seconds of anvil for the logs of all intents
    adapter s   seconds in which the adapter read them, checked and without a gap
    ratio       adapter over chain
    delivers/s  simulated, signed, sent and seen included, 64 under way; and the bare client's
    node ms     what the node adds to one delivery, in milliseconds
    """
    from vagus.daemon.bench.chain import measure_chain

    with (
        tempfile.TemporaryDirectory(prefix="vagus-bench-") as name,
        _logging_to(Path(name) / "node.log"),
    ):
        result = measure_chain(intents, say)
    if as_json:
        emit(asdict(result))
    else:
        _print_chain(result)


def _print_chain(result: ChainBench) -> None:
    print(f"{'reading':>12} {'chain s':>10} {'adapter s':>10} {'intents/s':>10} {'ratio':>8}")
    for each in result.readings:
        print(
            f"{each.quorum:>12} {each.chain_s:>10.2f} {each.adapter_s:>10.2f} "
            f"{each.intents_per_s:>10,.0f} {each.ratio:>8.2f}"
        )
    alone = result.readings[0]
    print(f"{'web3.py':>12} {alone.chain_s:>10.2f} {result.web3_s:>10.2f} ", end="")
    print(f"{result.intents / result.web3_s:>10,.0f} {result.web3_s / alone.chain_s:>8.2f}")
    print(f"{'delivering':>12} {'chain/s':>10} {'adapter/s':>10} {'node ms':>10}")
    for sent in result.deliveries:
        print(
            f"{sent.quorum:>12} {sent.chain_per_s:>10,.0f} {sent.adapter_per_s:>10,.0f} "
            f"{_added(sent.node_ms):>10}"
        )
    print(
        f"reading {result.intents:,} intents, in seconds: the chain costs {alone.chain_s:.2f}, "
        f"the node adds {_added(alone.adapter_s - alone.chain_s)}"
    )


def _added(time: float) -> str:
    """Return what the node adds; in a short run that drowns in the chain's own ups and downs."""
    return f"{time:.2f}" if time > 0 else "too small to say"


def _measure_limit(script: Path | None, intents: int, folder: Path) -> Limit | None:
    from vagus.daemon.bench.limit import run_limit

    if script is None:
        return None
    say(f"the limit: {script} with {_LIMIT_IN_FLIGHT} in flight")
    return run_limit(script.resolve(), _LIMIT_IN_FLIGHT, intents, folder)


def _mean(before: Limit | None, after: Limit | None) -> Limit | None:
    """Return the limit over the whole run: a machine with neighbours changes while it goes on."""
    if before is None or after is None:
        return None
    return replace(before, intents_per_s=(before.intents_per_s + after.intents_per_s) / 2)


def _ratio(runs: Sequence[Run], limit: Limit | None) -> float | None:
    same = [run for run in runs if limit and run.in_flight == limit.in_flight]
    return round(same[-1].intents_per_s / limit.intents_per_s, 3) if limit and same else None


def _print(runs: Sequence[Run], limit: Limit | None, ratio: float | None) -> None:
    print(f"{'in flight':>12} {'intents/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs':>8}")
    for run in runs:
        print(
            f"{run.in_flight:>12} {run.intents_per_s:>10,.1f} {run.p50_ms:>8.1f} "
            f"{run.p99_ms:>8.1f} {run.cpu_us:>8,.0f}"
        )
    if limit is not None:
        print(f"{f'limit, {limit.in_flight}':>12} {limit.intents_per_s:>10,.1f}")
    if ratio is not None:
        print(f"{'ratio':>12} {ratio:>10.2f}")


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Log as a node does, into a file; what went wrong is shown at the end."""
    from vagus.daemon.service.logs import set_up

    try:
        with path.open("w") as file:
            with contextlib.redirect_stderr(file):
                set_up("info", "json")
            yield
    except BaseException:
        lines = path.read_text().splitlines()
        for line in [line for line in lines if '"level": "info"' not in line][-5:]:
            say(line)
        raise


def _warn_of_memory(folder: Path) -> None:
    """Say so where the folder is no disk: a durable write costs nothing there."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    if max(around, key=lambda mount: len(mount[1]))[2] in {"tmpfs", "ramfs"}:
        say(f"{folder} IS IN MEMORY: figures are better than on a disk; name one by --folder")
