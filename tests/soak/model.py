"""A scripted OpenAI server in a process of its own, which can be killed, and which can misbehave.

    python -m soak.model [port]

It prints its port, takes a mode a line on its standard input, and ends when that does. Every answer
is a function of the prompt (`questions.answer_to`).
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Self

import orjson
import uvloop

from soak.questions import answer_to, is_held

__all__ = ["MODES", "Model"]

MODES = ("well", "slow", "garbage", "limited", "broken", "cut")
SLOW = 1.5


class Model:
    """The server's process, as an async context manager. Its port stays the same through deaths."""

    def __init__(self) -> None:
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, on the port of before, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "soak.model", str(self.port)),
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the model did not start: exit code {await self._process.wait()}")
        self.port = int(line)

    async def kill(self) -> None:
        """End it in the middle of whatever it says."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def mode(self, name: str) -> None:
        """Let it answer so from now on."""
        assert name in MODES
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n".encode())
        await self._process.stdin.drain()


class _Server:
    def __init__(self) -> None:
        self.mode = "well"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's requests, one after the other."""
        # A node that is killed leaves in the middle of anything.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        prompt = orjson.loads(await reader.readexactly(length))["messages"][-1]["content"]
        if is_held(prompt):
            await reader.read(1)  # until the node hangs up
            return False
        if self.mode == "slow":
            await asyncio.sleep(SLOW)
        body = b"<html>we are sorry</html>" if self.mode == "garbage" else _answer(prompt)
        status = {"limited": "429 Too Many Requests", "broken": "500 Internal Server Error"}
        said = status.get(self.mode, "200 OK")
        head = f"HTTP/1.1 {said}\r\nContent-Type: application/json\r\nRetry-After: 1\r\n".encode()
        head += b"Content-Length: %d\r\n\r\n" % len(body)
        if self.mode == "cut":
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            return False
        writer.write(head + body)
        await writer.drain()
        return True


def _answer(prompt: str) -> bytes:
    message = {"role": "assistant", "content": answer_to(prompt)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 60}
    return orjson.dumps({"model": "scripted", "choices": [choice], "usage": usage})


async def _main(port: int) -> None:
    served = _Server()
    server = await asyncio.start_server(served.serve, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    async for line in orders:
        served.mode = line.strip().decode()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
