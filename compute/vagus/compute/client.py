"""Chat completions over HTTP, from an OpenAI-compatible server."""

import contextlib
import sys
from collections.abc import AsyncGenerator, Iterator

from vagus.compute import wire
from vagus.compute.base import Answer, Completion, Delta, Spoilt
from vagus.compute.http import Endpoint, Exchange, HttpClient
from vagus.compute.listing import Listed, read_listing
from vagus.protocol import Retry

__all__ = ["ChatClient", "Endpoint", "Exchange"]

EVENTS = "text/event-stream"


class ChatClient(HttpClient):
    """A pool of connections to one server that speaks OpenAI's API."""

    async def models(self, *, timeout: float) -> tuple[Listed, ...]:
        """Return the models that the server lists, ascending by name."""
        return read_listing(await self.ask("GET", "models", None, timeout, sys.maxsize))

    async def complete(self, request: Completion, served_as: str, *, timeout: float) -> Answer:
        """Run a completion; raises Retry or Refuse as a backend does."""
        body = wire.encode_request(request, served_as)
        async with self.call(timeout, wire.longest_answer(request, len(body))) as call:
            response = await self.open("POST", "chat/completions", body, call)
            with _begun():
                data = await self.read(response, call)
        with _begun():
            return wire.decode_answer(data, request, call.times())

    async def stream(
        self, request: Completion, served_as: str, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Yield the pieces of a completion, and last the whole; raises as `complete`."""
        body = wire.encode_request(request, served_as, stream=True)
        answer = wire.StreamedAnswer(request)
        async with self.call(timeout, wire.longest_answer(request, len(body))) as call:
            response = await self.open("POST", "chat/completions", body, call, media=EVENTS)
            try:
                silence = self._endpoint.read_timeout
                while not answer.done:
                    with _begun():
                        data = await call.read(response, silence)
                        deltas = answer.feed(data)
                    if not data:
                        break
                    for delta in deltas:
                        call.mark_first()
                        yield delta
            finally:
                response.close()
        with _begun():
            whole = answer.answer(call.times())
        yield whole


@contextlib.contextmanager
def _begun() -> Iterator[None]:
    """Say of a fault that the server had begun to answer: it may charge for that."""
    try:
        yield
    except Retry as error:
        raise Spoilt(error.reason, error.after) from error
