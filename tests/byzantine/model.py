"""An OpenAI-compatible server whose answers are a function of the prompt, or lies, by its path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson

from byzantine.questions import answer_to, lie_about

__all__ = ["Model", "model"]


class Model:
    """`honest`, `lying` and `wavering` are base URLs; the last lies when first asked, and then does not."""

    def __init__(self) -> None:
        self.root = ""
        self._asked: set[str] = set()

    @property
    def honest(self) -> str:
        return f"{self.root}/honest/v1"

    @property
    def lying(self) -> str:
        return f"{self.root}/lying/v1"

    @property
    def wavering(self) -> str:
        return f"{self.root}/wavering/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's requests, one after the other."""
        # A node that is killed leaves in the middle of anything.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                asked = orjson.loads(await reader.readexactly(length))
                body = _response(self._answer(head, asked["messages"][-1]["content"]))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()
        writer.close()

    def _answer(self, head: bytes, prompt: str) -> str:
        who = head.split(b"/", 2)[1]
        if who == b"honest":
            return answer_to(prompt)
        if who == b"wavering" and prompt in self._asked:
            return answer_to(prompt)
        self._asked.add(prompt)
        return lie_about(prompt)


def _response(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 10}
    return orjson.dumps({"model": "scripted", "choices": [choice], "usage": usage})


@contextlib.asynccontextmanager
async def model() -> AsyncIterator[Model]:
    """Serve one on a free loopback port."""
    served = Model()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, backlog=512)
    served.root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
