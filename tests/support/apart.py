"""A process of its own, on uvloop, that asks a hostile server here, and what that took of it."""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.scripted import GOOD, Request, Script, response, scripted, sending

__all__ = ["MOST", "PATIENT", "Apart", "Took", "apart"]

ASKER = Path(__file__).parent / "http_asker.py"
# Bytes that a hostile answer may take of a process, and seconds for which its loop may stand still:
# one that parsed without end stood still for four, and other processes want the processor too.
MOST = 10_000_000
PATIENT = 1.5
# An answer that is none to whoever asks something else.
FINE = sending(response(GOOD))


@dataclass(frozen=True)
class Took:
    """How many bytes the process grew over what it had before, seconds of its loop, ends of its calls."""

    grown: int
    lag: float
    ends: Counter[str]


@dataclass
class Apart:
    """The process, and what its server says; `asked` counts the requests of a round."""

    process: asyncio.subprocess.Process
    ways: Mapping[str, Script]
    way: str = ""
    asked: int = 0

    async def say(self, request: Request) -> None:
        self.asked += 1
        await self.ways.get(self.way, FINE)(request)

    async def round(self, way: str) -> Took:
        """Let all that it asks be answered in one way, an unknown one being fine."""
        self.way, self.asked = way, 0
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"warm\n" if way not in self.ways else b"ask\n")
        line = await self.process.stdout.readline()
        assert line, "the process ended"
        found = json.loads(line)
        assert self.asked, "nobody asked"
        print(f"{way}: {found['grown'] / 1000:+.1f} MB, {found['lag']:.2f} s, {found['ends']}")
        return Took(found["grown"] * 1024, found["lag"], Counter(found["ends"]))


@contextlib.asynccontextmanager
async def apart(
    who: Literal["pages", "models"], ways: Mapping[str, Script]
) -> AsyncIterator[Apart]:
    """Run one, warm: what is allocated once, for the first calls of all, counts for nobody."""
    here: list[Apart] = []

    async def say(request: Request) -> None:
        await here[0].say(request)

    async with scripted(say) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ASKER), who, str(server.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            here.append(Apart(process, ways))
            for _ in range(3):
                assert (await here[0].round("fine")).ends["answered"]
            yield here[0]
        finally:
            process.kill()
            await process.wait()
