"""The demo's nodes: each a process of its own, of which one is killed and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from vagus.adapters.evm.devnet import leashed
from vagus.daemon.http_client import NodeError, get
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["DemoError", "DemoNode", "end", "seen_by"]

START_SECONDS = 120.0
STOP_SECONDS = 10.0
_TICK = 0.25


class DemoError(VagusError):
    """The demo did not come to its end."""


class DemoNode:
    """`vagus run` with a config, as an async context manager; `http` is the root of its HTTP."""

    def __init__(self, config: Path, http: str, log: Path) -> None:
        self.http = http
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.killed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Start it, or start it again; returns at once. Its log goes to a file."""
        with self._log.open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                *leashed(
                    sys.executable, "-m", "vagus.daemon", "run", "--config", str(self._config)
                ),
                stdout=file,
                stderr=file,
            )
        self.killed = False

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            await end(self._process)

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def check(self) -> None:
        """Raise DemoError where it has ended by itself."""
        code = None if self._process is None else self._process.returncode
        if code is not None and not self.killed:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise DemoError(f"a node ended by itself, with exit code {code}: {last}")

    async def answers(self) -> None:
        """Wait until it answers over HTTP."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(NodeError):
                await get(self.http, "/v1/intents")
                return
            await asyncio.sleep(_TICK)
        raise DemoError(f"a node does not answer after {START_SECONDS:g} s")


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process of the demo: by SIGTERM, and by SIGKILL where that takes too long."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def seen_by(nodes: Sequence[DemoNode]) -> dict[str, dict[str, Any]]:
    """Return what nodes show of each intent, by its id, the first that answers being believed first.

    What only the member knows that sent a transaction or a receipt is taken from that one.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        try:
            shown = (await get(node.http, "/v1/intents"))["intents"]
        except NodeError:
            node.check()
            continue
        for each in shown:
            known = found.setdefault(each["id"], each)
            for key in ("deliver_tx", "settle_tx", "fee", "callback_failed"):
                known[key] = known[key] or each[key]
    return found
