"""Surfpool, a Solana node from a crate: built once for each content of tests/nodes/surfpool.

The build takes a quarter of an hour of two cores; `python -m support.surfpool` does it beforehand.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from support.programs import program
from vagus.daemon.fetch import cache_dir

__all__ = ["Surfpool", "running_surfpool", "surfpool_path"]

SOURCE = Path(__file__).parents[1] / "nodes/surfpool"
PINNED = ("Cargo.toml", "Cargo.lock", "src/main.rs")
START_SECONDS = 60
TELL_EVERY = 20.0
WORDS = 2_000


def surfpool_path() -> Path:
    """The node's binary, built where the cache lacks it, with progress on stderr."""
    digest = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in PINNED)).hexdigest()
    path = cache_dir() / f"surfpool-{digest[:16]}" / "surfpool"
    if path.exists():
        return path
    cargo = program("cargo", "cargo")
    with (cache_dir() / f".{path.parent.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="surfpool-build-") as scratch:
                _build(cargo, Path(scratch))
                done = Path(scratch) / "done"
                done.mkdir()
                shutil.move(Path(scratch) / "release/surfpool", done / "surfpool")
                done.rename(path.parent)
    return path


def _build(cargo: str, target: Path) -> None:
    crates = (SOURCE / "Cargo.lock").read_text().count("[[package]]")
    print("Building Surfpool (12 min on two cores, once)", file=sys.stderr, flush=True)
    jobs = os.environ.get("CARGO_BUILD_JOBS", str(os.cpu_count() or 1))
    command = ["nice", "-n", "19", cargo, "build", "--release", "--locked", "-j", jobs]
    began = told = time.monotonic()
    done, last = 0, ""
    with subprocess.Popen(
        command,
        cwd=SOURCE,
        env=os.environ | {"CARGO_TARGET_DIR": str(target), "CARGO_TERM_COLOR": "never"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"Compiling (\S+)", line):
                done, last = done + 1, found[1]
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                print(
                    f"Building Surfpool: {done} of at most {crates} crates, {last} ({told - began:.0f} s)",
                    file=sys.stderr,
                    flush=True,
                )
    if process.returncode:
        raise RuntimeError(f"Surfpool was not built:\n{''.join(lines[-40:])}")


@dataclass
class Surfpool:
    """A running node and the hands that move it."""

    rpc: str
    ws: str
    process: asyncio.subprocess.Process
    stderr: int
    """The file that it writes there, as a descriptor."""

    def last_words(self) -> str:
        """How the node ended, if it did, and what it said: a connection that breaks is a panic there."""
        code = self.process.returncode
        size = os.fstat(self.stderr).st_size
        # The node writes where its own offset in the same file is: reading must not move that.
        said = os.pread(self.stderr, WORDS, max(0, size - WORDS)).decode(errors="replace").strip()
        alive = "Surfpool runs" if code is None else f"Surfpool has ended with {code}"
        return f"{alive} and said: {said or 'nothing'}"

    async def slots(self, count: int) -> None:
        """Stop the clock and order so many slots; they come a moment later."""
        await self._order(f"slots {count}")

    async def run(self) -> None:
        """Let the clock go on."""
        await self._order("run")

    async def _order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def running_surfpool(slot_ms: int = 400) -> AsyncIterator[Surfpool]:
    """A fresh node with a slot every `slot_ms` milliseconds, gone at the end."""
    with tempfile.TemporaryFile() as stderr:
        # Its stdin is its leash: the node ends with it, however this process ends.
        process = await asyncio.create_subprocess_exec(
            str(surfpool_path()),
            str(slot_ms),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                urls = json.loads(await process.stdout.readline())
            yield Surfpool(urls["rpc"], urls["ws"], process, stderr.fileno())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


if __name__ == "__main__":
    print(surfpool_path())
