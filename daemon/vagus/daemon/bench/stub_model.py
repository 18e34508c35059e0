"""A model server that costs next to nothing: each request gets the same 600 letters at once.

A process of its own, so that its work is not counted as the node's:

    python -m vagus.daemon.bench.stub_model

It prints its port as one line, and ends when its standard input does: with whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import msgspec
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["running_model"]

_ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "y" * 600},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 120, "total_tokens": 130},
    }
)
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_ANSWER),
    _ANSWER,
)


@contextlib.contextmanager
def running_model() -> Iterator[str]:
    """Run the server; yields the base URL of its API."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        port = process.stdout.readline().strip().decode()
        if not port:
            raise RuntimeError(f"the stub model did not start: exit code {process.wait()}")
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.stdin.close()


class _Connection(asyncio.Protocol):
    """Answers each request once its body is there; requests come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.WriteTransport", transport)  # TCP's always is
        self._missing = 0
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Count a request's bytes, and answer at its last."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            _, _, rest = head.lower().partition(b"content-length:")
            self._missing = int(rest.partition(b"\r\n")[0] or 0) - len(body)
            self._head = b""
        if self._missing <= 0:
            self._missing = 0
            self._transport.write(_RESPONSE)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, os.read, 0, 1)


if __name__ == "__main__":
    uvloop.run(_serve())
