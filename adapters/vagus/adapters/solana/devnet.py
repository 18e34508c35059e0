"""A development chain: LiteSVM behind Solana's JSON-RPC, as a child process on a free port."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import msgspec
from pydantic import SecretStr
from solders.pubkey import Pubkey

from vagus.adapters.background import background
from vagus.adapters.errors import printable
from vagus.adapters.evm.devnet import DEV_KEYS, DevnetError, leashed
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.wallet import Wallet

__all__ = ["DEV_KEYS", "Litesvm", "dev_wallet"]

_MODULE = "vagus.adapters.solana.litesvm.server"
_START = 30.0
_STOP = 5.0
_FUNDS = 10_000 * 10**9
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def dev_wallet(index: int) -> Wallet:
    """Return a wallet that everyone knows: anvil's keys, as ed25519 seeds. `Litesvm` funds ten of them."""
    return Wallet(bytes.fromhex(DEV_KEYS[index].removeprefix("0x")))


class _Listening(msgspec.Struct):
    rpc: str
    ws: str
    genesis: str


class Litesvm:
    """A fresh chain, as an async context manager; it is gone at the end.

    A slot ends every `slot_ms` milliseconds, with 0 by `advance` alone; the slot `finality` below the
    newest is final. Each start is another chain, but with a `seed`, which makes the genesis hash.
    """

    def __init__(self, slot_ms: int = 400, finality: int = 4, seed: str | None = None) -> None:
        self.rpc = ""
        """The JSON-RPC endpoint."""
        self.ws = ""
        """The websocket endpoint."""
        self.chain = ""
        """The chain's CAIP-2 id."""
        self.finality = finality
        self.pid = 0
        self._command = [sys.executable, "-I", "-m", _MODULE]
        self._command += ["--slot-ms", str(slot_ms), "--finality", str(finality)]
        if seed is not None:
            self._command += ["--seed", seed]
        self._stack = contextlib.AsyncExitStack()
        self._last = ""
        self._rpc: Rpc | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            process = await stack.enter_async_context(self._process())
            listening = await self._listening(process)
            self.rpc, self.ws = listening.rpc, listening.ws
            self.chain = f"solana:{listening.genesis[:32]}"
            reading = {f"{self.chain} output": self._read(process)}
            await stack.enter_async_context(background(**reading))
            self._rpc = await stack.enter_async_context(Rpc(SecretStr(self.rpc), 30, 64 << 20))
            for index in range(len(DEV_KEYS)):
                await self.fund(dev_wallet(index).account, _FUNDS)
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
        """Call any method of the node, the devnet's own ones among them. Raises `Retry` errors."""
        if self._rpc is None:
            raise DevnetError("the devnet is used outside of its async with")
        return await self._rpc.call(method, list(params), _anything)

    async def advance(self, slots: int = 1) -> None:
        """End so many slots at once."""
        await self.call("devnet_advance", slots)

    async def pace(self, slot_ms: int) -> None:
        """Let a slot end every so many milliseconds from now on; 0: by `advance` alone."""
        await self.call("devnet_pace", slot_ms)

    async def warp(self, seconds: int) -> None:
        """Let that much chain time pass, and make it final."""
        await self.call("devnet_warp", seconds)
        await self.advance(self.finality + 1)

    async def fund(self, account: bytes, lamports: int) -> None:
        """Set what an account of 32 bytes has."""
        await self.call("devnet_setLamports", str(Pubkey(account)), lamports)

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *leashed(*self._command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.pid = process.pid
        try:
            yield process
        finally:
            await _stop(process)

    async def _listening(self, process: asyncio.subprocess.Process) -> _Listening:
        """Wait for the line that says where it listens."""
        if process.stdout is None:
            raise DevnetError("the Solana devnet has no output")
        try:
            async with asyncio.timeout(_START):
                async for line in process.stdout:
                    with contextlib.suppress(msgspec.MsgspecError):
                        return msgspec.json.decode(line, type=_Listening)
                    self._last = printable(line.decode(errors="replace").strip()) or self._last
        except TimeoutError:
            raise DevnetError(f"LiteSVM did not listen in {_START:g} s: {self._last}") from None
        raise DevnetError(f"LiteSVM did not start: {self._last or 'it said nothing'}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Read all it says, so that its pipe never fills; keep the last line."""
        if process.stdout is not None:
            async for line in process.stdout:
                self._last = printable(line.decode(errors="replace").strip()) or self._last


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
