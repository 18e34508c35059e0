"""A process that asks an HTTP server as a node does, and says what that took.

    python http_asker.py pages|models PORT

For each line of its input all is asked at once, and a line of JSON is printed: `grown`, by how many
KiB the most memory meanwhile was over that after the last `warm` line, `lag`, the longest for which
the loop stood still in seconds, and `ends`, how the calls ended.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.hostile_models import Call, askers
from support.memory_asker import ended, memory, reset
from vagus.agents.http import GuardedHttp, HttpPolicy
from vagus.compute import rates

HOST = "service.test"
# As many as a node may well have under way.
PAGES = 8
TICK = 0.005


@contextlib.asynccontextmanager
async def pages(port: int) -> AsyncIterator[list[Call]]:
    """What agents fetch."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    policy = HttpPolicy.model_validate(
        {
            "hosts": [HOST],
            "schemes": ["http"],
            "ports": [port],
            "allow_networks": ["127.0.0.1/32"],
            "timeout": 2,
        }
    )
    guarded = GuardedHttp(policy, resolve=resolve)
    yield [lambda: guarded.get(f"http://{HOST}:{port}/")] * PAGES


@contextlib.asynccontextmanager
async def models(port: int) -> AsyncIterator[list[Call]]:
    """What backends ask."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.touch(0o600)
        key.write_text("sk-test")
        async with askers(f"http://127.0.0.1:{port}/v1", key) as found:
            yield list(found.values())


async def stand_still(worst: list[float]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        before = now()
        await asyncio.sleep(TICK)
        worst[0] = max(worst[0], now() - before - TICK)


async def main(who: str, port: str) -> None:
    rates.PATIENCE = 0.5
    opened = {"pages": pages, "models": models}[who]
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    before = 0
    while line := await lines.readline():
        async with opened(int(port)) as calls:
            worst = [0.0]
            watch = asyncio.create_task(stand_still(worst))
            reset()
            before = 0 if line == b"warm\n" else before or memory("VmRSS")
            ends = Counter(await asyncio.gather(*(ended(call()) for call in calls)))
            grown = memory("VmHWM") - before
            watch.cancel()
        print(json.dumps({"grown": grown, "lag": worst[0], "ends": ends}), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(main(*sys.argv[1:]))
