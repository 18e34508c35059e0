"""A process that asks three endpoints and a model, and says how much memory that took.

    python memory_asker.py CHAIN HUB TX PORT…

For each line of its input it asks all that a node asks, at once, and prints a line of JSON: `grown`,
by how many KiB the most memory meanwhile was over that at the beginning, and `ends`, what each call
ended in. The last port is the model's.
"""

import asyncio
import gc
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import structlog
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from vagus.adapters.base import Cursor, EventFilter
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.keystore import create_keystore, load_keystore
from vagus.compute import Completion, Message, Model
from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.protocol import Refuse, Retry

# As many tokens as a built-in agent asks for by default, at most.
ASKED = Completion(model=Model("m"), messages=(Message("user", "Hello"),), max_tokens=512)
TIMEOUT = 2.0
UNDER_WAY = 16
EVENT = "Transfer(address,address,uint256)"


def memory(name: str) -> int:
    """Read a figure of this process in KiB: VmRSS, or VmHWM, its highest since it was reset."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))


def reset() -> None:
    """Let VmHWM begin anew (proc(5), clear_refs)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


async def ended(call: Awaitable[object]) -> str:
    try:
        await call
    except (Retry, Refuse) as error:
        return f"{type(error).__name__}: {error.reason}"
    return "answered"


async def stream(backend: OpenAIBackend) -> None:
    async for _ in backend.stream(ASKED, timeout=TIMEOUT):
        pass


async def everything(
    adapter: EvmAdapter, cursor: Cursor, tx: str, backend: OpenAIBackend
) -> Counter[str]:
    heads = await adapter.next_heads(None)
    wanted = EventFilter("0x" + "12" * 20, EVENT)
    calls: list[Awaitable[Any]] = [
        adapter.intents(cursor, heads.final),
        adapter.requested(tx),
        adapter.events(wanted, 0, heads.final.height),
        backend.complete(ASKED, timeout=TIMEOUT),
        stream(backend),
    ]
    calls += [adapter.intent_state(bytes([at]) * 32) for at in range(UNDER_WAY)]
    return Counter(await asyncio.gather(*map(ended, calls)))


def open_a_key() -> None:
    """Do what each node does before it asks anybody: what that takes, once, is of no answer's making."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.json"
        create_keystore(path, "password", cost=2)
        load_keystore(path, "password")


async def main(chain: str, hub: str, tx: str, *ports: str) -> None:
    open_a_key()
    roots = [f"127.0.0.1:{port}" for port in ports]
    config = EvmConfig.model_validate(
        {
            "id": chain,
            "hub": hub,
            "rpc": [f"http://{root}" for root in roots[:-1]],
            "ws": [f"ws://{root}/ws" for root in roots[:-1]],
            "poll_interval": 0.2,
            "timeout": TIMEOUT,
        }
    )
    model = {"name": "m", "base_url": f"http://{roots[-1]}/v1", "models": [{"name": "m"}]}
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with (
        EvmAdapter(config) as adapter,
        OpenAIBackend(OpenAIConfig.model_validate(model)) as backend,
    ):
        await adapter.next_heads(None)
        cursor = await adapter.start()
        await adapter.hub_state()
        before = 0
        while await lines.readline():
            reset()
            before = before or memory("VmRSS")
            ends = await everything(adapter, cursor, tx, backend)
            print(json.dumps({"grown": memory("VmHWM") - before, "ends": ends}), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(main(*sys.argv[1:]))
