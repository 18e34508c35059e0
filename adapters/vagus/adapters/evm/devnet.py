"""A development chain: anvil as a child process on a port that the system chooses."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from pydantic import SecretStr

from vagus.adapters.background import background
from vagus.adapters.errors import printable
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.scratch import scratch_folder
from vagus.protocol import VagusError

__all__ = ["DEV_KEYS", "Anvil", "DevnetError", "leashed"]

DEV_KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)
"""Funded on every anvil chain and known to everyone: never a secret, never of use elsewhere."""

_LISTENING = re.compile(rb"Listening on 127\.0\.0\.1:(\d+)")
_START = 30.0
_STOP = 5.0
# Ends the node when its parent ends, however that ends: prctl(PR_SET_PDEATHSIG, SIGKILL). A parent
# that ended before the call is noticed by its number.
_LEASH = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,9,0,0,0)\n"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1)\n"
    "os.execv(sys.argv[2],sys.argv[2:])"
)
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def leashed(*command: str) -> tuple[str, ...]:
    """Return a command that runs another and ends, by SIGKILL, when this process does."""
    return (sys.executable, "-I", "-c", _LEASH, str(os.getpid()), *command)


class DevnetError(VagusError):
    """The development chain did not start, or died; the message has its last words."""


class Anvil:
    """A fresh chain, as an async context manager; it is gone at the end.

    Blocks come every `block_time` seconds, and the block two below the newest is final. `options`
    are anvil's own, such as "--timestamp".
    """

    def __init__(
        self,
        binary: Path,
        chain_id: int = 31_337,
        block_time: int = 1,
        options: tuple[str, ...] = (),
    ) -> None:
        self.chain_id = chain_id
        self.key = DEV_KEYS[0]
        """A funded private key, in hex."""
        self.port = 0
        self.pid = 0
        self._command = [str(binary), "--port", "0", "--chain-id", str(chain_id)]
        self._command += ["--block-time", str(block_time), "--slots-in-an-epoch", "1", *options]
        self._stack = contextlib.AsyncExitStack()
        self._last = ""
        self._listening = asyncio.Event()
        self._rpc: Rpc | None = None

    @property
    def chain(self) -> str:
        """The chain's CAIP-2 id."""
        return f"eip155:{self.chain_id}"

    @property
    def rpc(self) -> str:
        """The JSON-RPC endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """The websocket endpoint."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            process = await stack.enter_async_context(self._process())
            reading = {f"anvil {self.chain_id} output": self._read(process)}
            await stack.enter_async_context(background(**reading))
            try:
                async with asyncio.timeout(_START):
                    await self._listening.wait()
            except TimeoutError:
                raise DevnetError(f"anvil did not listen in {_START:g} s: {self._last}") from None
            if self.port == 0:
                raise DevnetError(f"anvil did not start: {self._last or 'it said nothing'}")
            self._rpc = await stack.enter_async_context(Rpc(SecretStr(self.rpc), 30, 64 << 20))
            found = await self._rpc.quantity("eth_chainId", [])
            if found != self.chain_id:
                raise DevnetError(f"anvil serves chain {found}, not {self.chain_id}")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def call(self, method: str, *params: object) -> Any:
        """Call any method of the node, anvil's own ones among them. Raises `Retry` errors."""
        if self._rpc is None:
            raise DevnetError("anvil is used outside of its async with")
        return await self._rpc.call(method, list(params), _anything)

    async def warp(self, seconds: int) -> None:
        """Let that much chain time pass, and make it final: three blocks follow."""
        await self.call("evm_increaseTime", seconds)
        await self.mine(3)

    async def mine(self, blocks: int = 1) -> None:
        """Add blocks at once."""
        await self.call("anvil_mine", hex(blocks))

    async def fund(self, address: bytes, wei: int) -> None:
        """Set what a 20-byte address has."""
        await self.call("anvil_setBalance", "0x" + address.hex(), hex(wei))

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        # Old blocks' states are written to files; in the user's folder they stay when it is killed.
        with scratch_folder("vagus-anvil-") as states:
            async with self._started("--cache-path", str(states)) as process:
                yield process

    @contextlib.asynccontextmanager
    async def _started(self, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        try:
            process = await asyncio.create_subprocess_exec(
                *leashed(*self._command, *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise DevnetError(f"anvil cannot be started: {error.strerror}") from None
        self.pid = process.pid
        try:
            yield process
        finally:
            await _stop(process)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Read all it says, so that its pipe never fills; keep the last line."""
        if process.stdout is None:
            raise DevnetError("anvil has no output")
        try:
            async for line in process.stdout:
                if text := printable(line.decode(errors="replace").strip()):
                    self._last = text
                if not self.port and (found := _LISTENING.search(line)):
                    self.port = int(found[1])
                    self._listening.set()
        finally:
            # Without a port this says that it ended.
            self._listening.set()


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
