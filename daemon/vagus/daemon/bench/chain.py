"""Chain adapters against real nodes: what the chain costs, and what the adapter adds to it.

The chain's share is measured in the same run: a bare client asks the node the same things and looks
at none of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import uvloop

from vagus.daemon.bench.delivering import Deliveries, deliver
from vagus.daemon.bench.reading import Reading, read
from vagus.daemon.service.signals import until_stopped
from vagus.daemon.worlds import fetch
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from vagus.daemon.bench.backlog import Backlog

    Starting = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Backlog]]

__all__ = ["ChainBench", "measure_chains"]

_ROUNDS = 3
_TOLD = 1_000
# A node's blocks get slower with all that it stores: what is delivered has a chain of its own.
_TO_DELIVER = 1_200


@dataclass(frozen=True, slots=True)
class ChainBench:
    """All figures of one chain; `peer_s` is what the client `peer` took to read the same intents."""

    chain: str
    node: str
    intents: int
    peer: str
    peer_s: float | None
    readings: tuple[Reading, ...]
    deliveries: tuple[Deliveries, ...]


class BenchStopped(VagusError):  # noqa: N818 - what happened is no error
    """A signal ended it."""

    exit_code = 130


def measure_chains(
    kinds: Sequence[str],
    intents: int,
    say: Callable[[str], None],
    done: Callable[[ChainBench], None],
) -> None:
    """Run it on chains of its own, one kind after the other; they are gone at the end.

    `done` is given each kind's figures as soon as they are there. Raises ConfigError for a kind that is none, or whose packages are missing.
    """
    fetch(kinds, say)
    # A chain is a module beside this one, by its CAIP-2 namespace.
    starts = {kind: import_module(f"vagus.daemon.bench.{kind}").start for kind in kinds}
    uvloop.run(_measure(starts, intents, say, done))


async def _measure(
    chains: dict[str, Starting],
    intents: int,
    say: Callable[[str], None],
    done: Callable[[ChainBench], None],
) -> None:
    missing = len(chains)
    with until_stopped():
        for kind, start in chains.items():
            done(await _measure_one(kind, start, intents, say))
            missing -= 1
    if missing:
        raise BenchStopped("stopped before its end; nothing is left behind")


async def _measure_one(
    kind: str, start: Starting, intents: int, say: Callable[[str], None]
) -> ChainBench:
    async with start(say) as asked:
        say(f"Asking {intents:,} intents on {asked.node}")
        await asked.ask(intents, _progress(intents, say))
        say(f"Reading them, {_ROUNDS} times by each client")
        readings, peer_s = await read(asked, _ROUNDS, say)
    few = min(intents, _TO_DELIVER)
    async with start(say) as asked:
        say(f"Asking {few:,} intents on another {asked.node}, to deliver to")
        await asked.ask(few, _progress(few, say))
        say("Delivering answers")
        deliveries = await deliver(asked, _ROUNDS, say)
    return ChainBench(kind, asked.node, intents, asked.peer, peer_s, readings, deliveries)


def _progress(of: int, say: Callable[[str], None]) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done % _TOLD == 0 or done == of:
            say(f"  {done:,} of {of:,}")

    return progress
