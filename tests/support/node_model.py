"""An OpenAI-compatible server for nodes under test: it counts what it is asked, and can hold on."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import orjson

from support.scripted import Request, response, scripted

__all__ = ["StubModel", "stub_model"]


class StubModel:
    """Answers each request differently: asked twice, its answers tell. While not `open`, it waits.

    One that is not fickle answers a prompt as it did before.
    """

    def __init__(self, *, fickle: bool = True) -> None:
        self._fickle = fickle
        self.lies = False
        self.base_url = ""
        self.asked: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.authorizations: set[str] = set()

    @property
    def backends(self) -> str:
        """The `[[backends]]` table of a node that uses it."""
        return (
            '[[backends]]\nkind = "openai"\nname = "stub"\n'
            f'base_url = "{self.base_url}"\nmodels = [{{ name = "stub" }}]\n'
        )

    async def answer(self, request: Request) -> None:
        prompt = orjson.loads(request.body)["messages"][-1]["content"]
        self.asked[prompt] += 1
        self.authorizations.add(request.headers.get("authorization", ""))
        number = self.asked[prompt] if self._fickle else 1
        text = f"{'lie' if self.lies else 'answer'} {number} to {prompt}"
        await self.open.wait()
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        await request.send(response({"model": "stub", "choices": [choice], "usage": usage}))


@contextlib.asynccontextmanager
async def stub_model(*, fickle: bool = True) -> AsyncIterator[StubModel]:
    """Serve one on a free loopback port."""
    model = StubModel(fickle=fickle)
    async with scripted(model.answer) as served:
        model.base_url = served.base_url
        try:
            yield model
        finally:
            model.open.set()
