"""`vagus` as it is installed: commands run to their end, and a node that tests start and kill."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

from support.client import until

__all__ = ["VAGUS", "Node", "children", "vagus"]

VAGUS = Path(sys.executable).parent / "vagus"
SCALE = 120.0


async def vagus(*arguments: object, within: float = SCALE, **env: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        VAGUS,
        *map(str, arguments),
        env=environment(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    finally:
        await end(process)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def environment(changes: dict[str, str]) -> dict[str, str]:
    """This process' environment without what would configure a node, and with `changes`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("VAGUS_")} | changes


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process of ours, whatever it is doing."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    await process.wait()


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Node:
    """`vagus run` on one config; as an async context manager it ends what it started.

    The log of all its runs gathers in one file.
    """

    def __init__(self, config: Path, log: Path, program: Path = VAGUS) -> None:
        self.config = config
        self.program = program
        self._file = log
        self._began = 0
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await end(self._process)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        assert self._process is not None
        return self._process.returncode

    @property
    def log(self) -> str:
        """What all runs have logged."""
        return self._file.read_text() if self._file.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """What this run has logged; a line that is no JSON fails the test that asks."""
        with self._file.open("rb") as file:
            file.seek(self._began)
            whole, _, _ = file.read().rpartition(b"\n")
        return [orjson.loads(line) for line in whole.splitlines()]

    async def launch(self, failpoint: str = "", **env: str) -> None:
        """Start it, armed where a failpoint is named, and wait for nothing."""
        assert self._process is None or self._process.returncode is not None
        self._began = self._file.stat().st_size if self._file.exists() else 0
        armed = {"VAGUS_FAILPOINT": failpoint} if failpoint else {}
        with self._file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(self.program, "run", "--config", self.config),
                env=environment(armed | env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def start(self, failpoint: str = "", **env: str) -> float:
        """Start it and wait until it is ready; returns the seconds that took."""
        began = time.monotonic()
        await self.launch(failpoint, **env)
        await self.ready()
        return time.monotonic() - began

    async def ready(self) -> None:
        """Wait until it is ready."""
        await self.serving()
        await until(
            lambda: self.get("/readyz"), lambda got: got[0] == 200, within=SCALE, every=0.05
        )

    async def serving(self) -> None:
        """Wait until it answers over HTTP."""

        async def look() -> list[dict[str, Any]]:
            assert self.returncode is None, f"ended with {self.returncode}: {self.log[-2000:]}"
            return [line for line in self.lines() if line["event"] == "serving"]

        (line,) = await until(look, bool, within=SCALE, every=0.05)
        self.url = f"http://{line['host']}:{line['port']}"

    async def ended(self, within: float = SCALE) -> int:
        """Wait until it ends; returns the exit code, or the signal below zero."""
        assert self._process is not None
        async with asyncio.timeout(within):
            return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def get(self, path: str) -> tuple[int, bytes]:
        """The status and body of an answer; (0, b"") where nobody answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
                return response.status, await response.read()
        except aiohttp.ClientError:
            return 0, b""

    async def intent(self, intent_id: str) -> dict[str, Any]:
        """What it shows of an intent; an empty stage where it does not know it."""
        status, body = await self.get(f"/v1/intents/{intent_id}")
        return orjson.loads(body) if status == 200 else {"stage": "", "history": []}

    async def reaches(self, intent_id: str, stage: str, within: float = SCALE) -> dict[str, Any]:
        """Wait until it shows an intent at a stage."""
        return await until(
            lambda: self.intent(intent_id), lambda shown: shown["stage"] == stage, within=within
        )
