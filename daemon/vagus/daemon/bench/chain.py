"""The EVM adapter against a real node: what the chain costs, and what the adapter adds to it.

The chain's share is measured in the same run: a bare client asks anvil the same things and looks at
none of the answers. The peer is web3.py, which decodes the same logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from vagus.daemon.bench.backlog import backlog
from vagus.daemon.bench.delivering import Deliveries, deliver
from vagus.daemon.bench.reading import Reading, read
from vagus.daemon.service.signals import until_stopped
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChainBench", "measure_chain"]

_ROUNDS = 3
_TOLD = 1_000
# anvil's blocks get slower with all that it stores: what is delivered has a chain of its own.
_TO_DELIVER = 1_200


@dataclass(frozen=True, slots=True)
class ChainBench:
    """All figures of one run; `web3_s` is what web3.py took to read the same logs."""

    intents: int
    web3_s: float
    readings: tuple[Reading, ...]
    deliveries: tuple[Deliveries, ...]


class BenchStopped(VagusError):  # noqa: N818 - what happened is no error
    """A signal ended it."""

    exit_code = 130


def measure_chain(intents: int, say: Callable[[str], None]) -> ChainBench:
    """Run it all on a chain of its own, which is gone at the end."""
    return uvloop.run(_measure(intents, say))


async def _measure(intents: int, say: Callable[[str], None]) -> ChainBench:
    result: ChainBench | None = None

    def progress(done: int, of: int) -> None:
        if done % _TOLD == 0 or done == of:
            say(f"  {done:,} of {of:,}")

    with until_stopped():
        say(f"Asking {intents:,} intents on anvil")
        async with backlog(intents, progress) as asked:
            say(f"Reading them, {_ROUNDS} times by each client")
            readings, web3_s = await read(asked, _ROUNDS, say)
        few = min(intents, _TO_DELIVER)
        say(f"Asking {few:,} intents on another anvil, to deliver to")
        async with backlog(few, progress) as asked:
            say("Delivering answers")
            deliveries = await deliver(asked, _ROUNDS, say)
        result = ChainBench(intents, web3_s, readings, deliveries)
    if result is None:
        raise BenchStopped("stopped before its end; nothing is left behind")
    return result
