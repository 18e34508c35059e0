"""`vagus devnet up --json` as a process, and configs of nodes on it that differ from its own."""

import asyncio
import contextlib
import os
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from support.node import VAGUS, children, end, environment

__all__ = ["Devnet", "alive", "running_devnet"]

LOCAL = '[[backends]]\nkind = "local"\n'
START_SECONDS = 180.0
STOP_SECONDS = 20.0


@dataclass
class Devnet:
    """A running devnet: what it printed, its folder, its process."""

    shown: dict[str, Any]
    folder: Path
    process: asyncio.subprocess.Process

    @property
    def chains(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.shown["chains"]
        return found

    @property
    def config(self) -> Path:
        return Path(self.shown["config"])

    @property
    def account(self) -> str:
        """The address that its node pays and is paid with, on EVM chains."""
        return self.payer("eip155:31337")

    def payer(self, caip2: str) -> str:
        """The address that its node pays and is paid with on a chain."""
        roster = tomllib.loads(self.config.read_text())["committee"]
        address: str = roster["members"][0]["addresses"][caip2]
        return address

    def member(self, at: int, backends: str) -> Path:
        """Write a config of one of several nodes with other backends, and a port of its own."""
        config = Path(self.shown["configs"][at])
        text = config.read_text()
        port = tomllib.loads(text)["http"]["port"]
        changes = {LOCAL: backends, f"port = {port}": "port = 0"}
        for before, after in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        path = config.with_name("member.toml")
        path.write_text(text)
        return path

    def pids(self) -> list[int]:
        """Its process and those of its chains."""
        return [self.process.pid, *children(self.process.pid)]

    def variant(
        self, name: str, *, backends: str = LOCAL, chains: str = "", **replaced: str
    ) -> Path:
        """Write a config of a node with a journal and a port of its own; keys stay the devnet's.

        `backends` stands for the local one, `chains` is added to each chain's table; `replaced`
        are endpoints: rpc0, ws0, rpc1, ws1 and so on.
        """
        text = self.config.read_text()
        port = tomllib.loads(text)["http"]["port"]
        changes = {'data = "data"': f'data = "{name}"', f"port = {port}": "port = 0"}
        changes[LOCAL] = backends
        for at, chain in enumerate(self.chains):
            for key in ("rpc", "ws"):
                if f"{key}{at}" in replaced:
                    changes[f'{key} = "{chain[key]}"'] = f'{key} = "{replaced[f"{key}{at}"]}"'
        for before, after in changes.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        text = text.replace("[[chains]]\n", f"[[chains]]\n{chains}\n")
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path


@contextlib.asynccontextmanager
async def running_devnet(
    folder: Path,
    stderr: Path = Path(os.devnull),
    chains: str = "eip155,eip155",
    nodes: int = 1,
) -> AsyncIterator[Devnet]:
    """Start one as a person would, with configs for so many nodes; it is gone at the end."""
    with stderr.open("wb") as talk:
        process = await asyncio.create_subprocess_exec(
            *(VAGUS, "devnet", "up", "--json", "--folder", folder, "--chains", chains),
            *("--nodes", str(nodes)),
            env=environment({}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=talk,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        assert line, f"no devnet: exit code {await process.wait()}"
        yield Devnet(orjson.loads(line), folder, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        await end(process)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
