"""`vagus bench`: how fast this machine runs the node's own code."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
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
            min=1,
            max=4096,
            help="Intents under way at once, once for each run.",
            show_default="1, 64",
        ),
    ] = None,
    intents: Annotated[int, typer.Option(min=10, max=1_000_000, help="Intents a run.")] = 2000,
    limit: Annotated[
        Path | None,
        typer.Option(
            help="The script to compare with.",
            show_default="benchmarks/limits/run of a checkout",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Where the journals are written, and removed again.",
            show_default="the system's temporary folder",
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
    chains: Annotated[
        str,
        typer.Option(
            "--chains", help="Kinds of chains, with commas between: eip155, solana, cosmos."
        ),
    ] = "eip155",
    intents: Annotated[
        int, typer.Option(min=100, max=100_000, help="Intents of the backlog.")
    ] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Read a backlog of intents from a real chain and deliver to it, and tell whose time it takes.

    The chains are anvil, LiteSVM's devnet and wasmd, with a hub on each. A bare client asks the same
    things in the same run and looks at no answer: that time is the chain's, the rest is the node's.
    web3.py decodes the same logs, to compare with. Where two of three endpoints must agree, all three
    are the one node. All three kinds take four minutes on two cores; the first cosmos builds wasmd.

    chain s     seconds of the node for all that the adapter fetches
    adapter s   seconds in which the adapter read the intents, checked and without a gap
    ratio       adapter over chain
    deliver/s   simulated, signed, sent and seen included, 64 under way; and the bare client's
    node ms     what the node adds to one delivery, in milliseconds
    """
    from vagus.daemon.bench.chain import measure_chains

    kinds = [kind.strip() for kind in chains.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="vagus-bench-") as name,
        _logging_to(Path(name) / "node.log"),
    ):
        results: list[ChainBench] = []
        measure_chains(kinds, intents, say, results.append if as_json else _print_chain)
    if as_json:
        emit([asdict(result) for result in results])


@app.command()
def committee(
    in_flight: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=1024,
            help="Intents under way at once, once for each run.",
            show_default="1, 64",
        ),
    ] = None,
    intents: Annotated[int, typer.Option(min=10, max=100_000, help="Intents a run.")] = 500,
    broker: Annotated[
        str | None,
        typer.Option(help="mqtt://host:port of a broker.", show_default="one that is started"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Carry intents by three members over a broker, and by one alone, and tell what agreeing costs.

    Each member is a process with a journal of its own and a node's pipeline up to a quorum of
    signatures; two of three sign, in mode exact, so that each runs the agent. Chains and the model's
    server are stand-ins that cost next to nothing.

    intents/s   how many had a quorum of signatures in a second, at the slowest member
    p50, p99    milliseconds from the request to that: half, 99 % are faster
    added       p50 beyond that of the one node of the same run: agreeing, signing, the broker
    CPU         microseconds of processor an intent, of one member
    envelopes   that one member sends an intent, and their bytes
    """
    from vagus.daemon.bench.committee import CommitteeBench, measure_committee

    results: list[CommitteeBench] = []
    with tempfile.TemporaryDirectory(prefix="vagus-bench-") as name:
        _warn_of_memory(Path(name))
        for count in in_flight or [1, 64]:
            results.append(measure_committee(count, intents, broker, Path(name), say))  # noqa: PERF401 - each takes a while
    if as_json:
        emit([msgspec.to_builtins(each) for each in results])
        return
    head = f"{'in flight':>12} {'nodes':>6} {'intents/s':>10} {'p50 ms':>8} {'p99 ms':>8}"
    print(f"{head} {'added':>8} {'CPU µs':>8} {'envelopes':>10} {'bytes':>8}")
    for result in results:
        for each in (result.alone, *result.members):
            nodes, added = (
                (1, 0.0) if each is result.alone else (3, each.p50_ms - result.alone.p50_ms)
            )
            print(
                f"{result.in_flight:>12} {nodes:>6} {each.intents_per_s:>10,.1f} {each.p50_ms:>8.1f} "
                f"{each.p99_ms:>8.1f} {added:>8.1f} {each.cpu_us:>8,.0f} {each.envelopes:>10.1f} {each.bytes:>8,.0f}"
            )


def _print_chain(result: ChainBench) -> None:
    print(f"{result.chain}: {result.node}, reading {result.intents:,} intents")
    print(f"{'':>12} {'chain s':>10} {'adapter s':>10} {'intents/s':>10} {'ratio':>8}")
    for each in result.readings:
        print(
            f"{each.quorum:>12} {each.chain_s:>10.2f} {each.adapter_s:>10.2f} "
            f"{each.intents_per_s:>10,.0f} {each.ratio:>8.2f}"
        )
    if result.peer_s is not None:
        alone = result.readings[0]
        print(f"{result.peer:>12} {alone.chain_s:>10.2f} {result.peer_s:>10.2f} ", end="")
        print(f"{result.intents / result.peer_s:>10,.0f} {result.peer_s / alone.chain_s:>8.2f}")
    print(f"{'':>12} {'chain/s':>10} {'deliver/s':>10} {'node ms':>10}")
    for sent in result.deliveries:
        print(
            f"{sent.quorum:>12} {sent.chain_per_s:>10,.0f} {sent.adapter_per_s:>10,.0f} "
            f"{_added(sent.node_ms):>10}"
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
