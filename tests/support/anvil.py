"""A real EVM node for tests: anvil as a child process on a port that the system chose.

Block times move by one second a block and by nothing else, so that a test says what time it is.
"""

import asyncio
import contextlib
import re
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from web3 import HTTPProvider, Web3

from vagus.daemon.fetch import anvil_path

GENESIS = 1_800_000_000  # chain time at the start: any, but the same in every run
START_SECONDS = 30
LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")


class Anvil:
    """One running node: a web3 client and anvil's own calls."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.web3 = Web3(HTTPProvider(self.url))
        self.accounts = self.web3.eth.accounts

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of one JSON-RPC call; RuntimeError on an error."""
        answer = self.web3.provider.make_request(method, list(params))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    @property
    def now(self) -> int:
        """The latest block's time."""
        return self.web3.eth.get_block("latest")["timestamp"]

    def at(self, timestamp: int) -> None:
        """Give the next block this time."""
        self.rpc("evm_setNextBlockTimestamp", timestamp)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens within is undone at the end."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            assert self.rpc("evm_revert", snapshot)


class AwaitedAnvil:
    """A node as asynchronous code takes one: its endpoint, and calls that are awaited."""

    def __init__(self, anvil: Anvil) -> None:
        self.rpc = anvil.url
        self._anvil = anvil

    async def call(self, method: str, *params: object) -> Any:
        return await asyncio.to_thread(self._anvil.rpc, method, *params)


@contextlib.contextmanager
def running_anvil(chain_id: int = 31337, *options: str) -> Iterator[Anvil]:
    """A fresh chain, gone at the end."""
    command = [
        str(anvil_path()),
        "--port",
        "0",
        "--chain-id",
        str(chain_id),
        "--hardfork",
        "cancun",
    ]
    command += ["--timestamp", str(GENESIS), "--order", "fifo", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            anvil = Anvil(_port(process))
            anvil.rpc("anvil_setBlockTimestampInterval", 1)
            # A log line a call would fill the pipe, which nobody reads from here on.
            anvil.rpc("anvil_setLoggingEnabled", False)
            yield anvil
        finally:
            process.terminate()
            process.communicate()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    until = time.monotonic() + START_SECONDS
    said = b""
    while not (found := LISTENING.search(said)):
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        # Once stdout is readable, read1 gives what there is: nothing means that anvil ended.
        chunk = process.stdout.read1(65536) if readable else b""  # type: ignore[attr-defined]
        if not chunk:
            raise RuntimeError(f"anvil did not start: {said.decode(errors='replace')[-500:]}")
        said += chunk
    return int(found[1])
