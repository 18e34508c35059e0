"""A development chain: wasmd with one validator, as a child process on ports that the system chooses."""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from nacl.signing import SigningKey

from vagus.adapters.background import background
from vagus.adapters.cosmos.genesis import DENOM, DEV_KEYS, PREFIX, dev_wallet, write_genesis
from vagus.adapters.cosmos.validator import ENDLESS, Validator
from vagus.adapters.errors import printable
from vagus.adapters.evm.devnet import DevnetError, leashed
from vagus.adapters.scratch import scratch_folder
from vagus.protocol import cosmos_chain

__all__ = ["DENOM", "DEV_KEYS", "GAS_PRICE", "PREFIX", "Wasmd", "dev_wallet"]

GAS_PRICE = "0.025"
"""What the node asks for a unit of gas, in `DENOM`."""

_COMMITTED = re.compile(rb"committed state.*height=(?:\x1b\[[0-9;]*m)*(\d+)")
_START = 120.0
_TRIES = 3
_TIMEOUTS = {
    "timeout_propose": "200ms",
    "timeout_propose_delta": "100ms",
    "timeout_commit": "200ms",
}
# A proposal that is not wanted is refused, and the next one comes as soon as these are over.
_STEERED = {
    "timeout_propose": "50ms",
    "timeout_propose_delta": "10ms",
    "timeout_prevote": "5ms",
    "timeout_prevote_delta": "0s",
    "timeout_precommit": "5ms",
    "timeout_precommit_delta": "0s",
    "timeout_commit": "10ms",
}


@dataclass(frozen=True, slots=True)
class _Ports:
    rpc: int
    grpc: int
    rest: int


class Wasmd:
    """A fresh chain, as an async context manager; it is gone at the end, its folder too.

    Blocks come every 200 ms and are final when they are committed. The ten accounts of `DEV_KEYS`
    are funded in `DENOM`.

    A `steered` chain has its validator in this process: it stands still after its first block,
    blocks come by `advance` (or by themselves, from `run` to `hold`), and time moves by `pass_time`
    and `at`.
    """

    def __init__(self, binary: Path, chain_id: str = "vagus-1", *, steered: bool = False) -> None:
        self.chain_id = chain_id
        self.pid = 0
        self.height = 0
        """The newest block whose state is committed."""
        self._binary = binary
        self._steered = steered
        self._validator: Validator | None = None
        self._ports = _Ports(0, 0, 0)
        self._stack = contextlib.AsyncExitStack()
        self._last = ""
        self._ended = False
        self._news = asyncio.Event()

    @property
    def chain(self) -> str:
        """The chain's CAIP-2 id."""
        return cosmos_chain(self.chain_id)

    @property
    def rpc(self) -> str:
        """CometBFT's JSON-RPC endpoint."""
        return f"http://127.0.0.1:{self._ports.rpc}"

    @property
    def ws(self) -> str:
        """CometBFT's websocket endpoint."""
        return f"ws://127.0.0.1:{self._ports.rpc}/websocket"

    @property
    def grpc(self) -> str:
        """The SDK's gRPC endpoint, host and port."""
        return f"127.0.0.1:{self._ports.grpc}"

    @property
    def rest(self) -> str:
        """The SDK's REST endpoint."""
        return f"http://127.0.0.1:{self._ports.rest}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            home = stack.enter_context(scratch_folder("vagus-wasmd-"))
            await self._run("init", "vagus", "--chain-id", self.chain_id, "--home", str(home))
            key = await write_genesis(home, self.chain_id, _STEERED if self._steered else _TIMEOUTS)
            for attempt in range(_TRIES):
                self._ports = _free_ports()
                try:
                    await self._started(home, key, stack)
                    break
                except DevnetError:
                    # Another process may have taken a port between the choice and the start.
                    if "address already in use" not in self._last or attempt == _TRIES - 1:
                        raise
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    # Steering

    async def advance(self, blocks: int = 1) -> None:
        """Wait for so many more blocks; a chain that stands still makes them now.

        What was broadcast before is in the first of them.
        """
        target = self.height + blocks
        if self._validator is not None and self._validator.target != ENDLESS:
            self._validator.allow(target)
        await self._reach(target)

    async def run(self) -> None:
        """Let blocks come by themselves, as fast as they can."""
        self._steering().allow(ENDLESS)

    async def hold(self) -> None:
        """Let the chain stand still."""
        await self._reach(await self._steering().stand())

    async def pass_time(self, seconds: float) -> None:
        """Let so much chain time pass; the newest block is behind it."""
        self._steering().shift += seconds
        # A block's time is that of the votes for the one before.
        await self.advance(2)

    async def at(self, seconds: int) -> None:
        """Let the next block have this time, to the second; time goes on from there."""
        self._steering().next_time(seconds)
        await self.advance()

    def _steering(self) -> Validator:
        if self._validator is None:
            raise DevnetError("this chain is not steered: make it with steered=True")
        return self._validator

    async def _reach(self, height: int) -> None:
        while self.height < height:
            if self._ended:
                raise DevnetError(f"wasmd ended: {self._last}")
            self._news.clear()
            await self._news.wait()

    # The process

    async def _started(self, home: Path, key: SigningKey, outer: contextlib.AsyncExitStack) -> None:
        self._ended, self.height = False, 0
        async with contextlib.AsyncExitStack() as stack:
            process = await stack.enter_async_context(self._process(home))
            reading = {f"wasmd {self.chain_id} output": self._read(process)}
            await stack.enter_async_context(background(**reading))
            try:
                async with asyncio.timeout(_START):
                    if self._steered:
                        self._validator = Validator(home / "v.sock", key, target=1)
                        await stack.enter_async_context(self._validator.serving())
                    await self._reach(1)
            except TimeoutError:
                raise DevnetError(f"wasmd made no block in {_START:g} s: {self._last}") from None
            await outer.enter_async_context(stack.pop_all())

    @contextlib.asynccontextmanager
    async def _process(self, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        options = {
            "--home": str(home),
            "--rpc.laddr": f"tcp://127.0.0.1:{self._ports.rpc}",
            "--rpc.pprof_laddr": "",
            "--p2p.laddr": "tcp://127.0.0.1:0",
            "--grpc.address": self.grpc,
            "--api.address": self.rest.replace("http", "tcp", 1),
            "--minimum-gas-prices": f"{GAS_PRICE}{DENOM}",
            "--log_level": "*:error,state:info",
        }
        if self._steered:
            options["--priv_validator_laddr"] = f"unix://{home / 'v.sock'}"
        flags = [f"{name}={value}" for name, value in options.items()]
        process = await self._spawn("start", "--api.enable", "--log_no_color", *flags)
        self.pid = process.pid
        try:
            yield process
        finally:
            await _stop(process)

    async def _run(self, *arguments: str) -> None:
        process = await self._spawn(*arguments)
        said, _ = await process.communicate()
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise DevnetError(f"wasmd {arguments[0]} failed: {printable(lines[-1])}")

    async def _spawn(self, *arguments: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *leashed(str(self._binary), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # CosmWasm's virtual machine is a library beside the binary.
                env={**os.environ, "LD_LIBRARY_PATH": str(self._binary.parent)},
                limit=1 << 20,
            )
        except OSError as error:
            raise DevnetError(f"wasmd cannot be started: {error.strerror}") from None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Read all it says, so that its pipe never fills; keep the last line that is no block."""
        if process.stdout is None:
            raise DevnetError("wasmd has no output")
        try:
            async for line in process.stdout:
                if found := _COMMITTED.search(line):
                    self.height = int(found[1])
                    self._news.set()
                elif (text := printable(line.decode(errors="replace").strip())) and (
                    "stands still" not in text
                ):
                    self._last = text
        finally:
            self._ended = True
            self._news.set()


def _free_ports() -> _Ports:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return _Ports(*(probe.getsockname()[1] for probe in probes))


async def _stop(process: asyncio.subprocess.Process) -> None:
    # Nothing of the chain is kept, so nothing has to be left in order.
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
