"""Endpoints and a model that never stop answering, all at once: rejected, within 10 MB in all."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.evm import chain, height, question, send, until_height
from support.hostile import WAYS, Hostile, hostile

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_memory"),
]

ASKER = Path(__file__).parents[2] / "support" / "memory_asker.py"
MOST = 10_000_000


@dataclass
class Asker:
    """A process of its own, over three endpoints and a model that can be turned."""

    servers: list[Hostile]
    process: asyncio.subprocess.Process

    async def round(self, way: str | None) -> dict[str, Any]:
        """Let it ask everything once, and return what it says of that."""
        for server in self.servers:
            server.turn(way)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        line = await self.process.stdout.readline()
        assert line, "the process ended"
        found: dict[str, Any] = json.loads(line)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asker() -> AsyncIterator[Asker]:
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(chain())
        async with node.adapter() as adapter:
            await until_height(adapter, await height(node.anvil))
            asked = await send(adapter, node.anvil, adapter.request_call(question(adapter)))
        servers = [await stack.enter_async_context(hostile(node.anvil.rpc)) for _ in range(4)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ASKER), node.anvil.chain, node.hub.account, asked.tx_id),
            *(str(server.port) for server in servers),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            found = Asker(servers, process)
            for _ in range(3):
                # What is allocated once, for the first calls of all, counts for nobody.
                assert (await found.round(None))["ends"] == {"answered": 21}
            yield found
        finally:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("way", WAYS)
async def test_what_never_ends_is_rejected_within_bounds(asker: Asker, way: str) -> None:
    found = await asker.round(way)
    grown = found["grown"] * 1024
    print(f"{way}: {grown / 1e6:+.1f} MB")
    assert sum(found["ends"].values()) == 21
    assert "answered" not in found["ends"]
    assert all(server.asked for server in asker.servers)
    assert grown <= MOST


async def test_whoever_stops_that_is_heard_again(asker: Asker) -> None:
    found: dict[str, int] = {}
    for _ in range(20):
        # An endpoint that did not answer rests for a while.
        found = (await asker.round(None))["ends"]
        if found == {"answered": 21}:
            return
    raise AssertionError(found)
