"""Runs of agents without a node: contexts, and a backend whose answers a test writes."""

import asyncio
from collections.abc import Callable
from typing import Any

from support.backends import Ready
from vagus.agents import Budget, Context, Route
from vagus.compute import Answer, Backend, BackendConfig, Completion, Model, Price, Times, Usage
from vagus.compute.backends.local import LocalBackend

__all__ = ["Written", "local_context", "written_context"]


class Written(Ready):
    """Answers each request with what `write` makes of it, and keeps the requests."""

    def __init__(self, write: Callable[[Completion], str], finish: str = "stop") -> None:
        super().__init__(BackendConfig(kind="written", name="written"))
        self.asked: list[Completion] = []
        self._write = write
        self._finish = finish

    async def models(self) -> tuple[Model, ...]:
        return (Model("written"),)

    def price(self, model: Model) -> Price:
        return Price()

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        self.asked.append(request)
        text = self._write(request)
        return Answer(text, (), Usage(1, 1), self._finish, "written", Times(0, None, 0))


def written_context(backend: Backend, **changes: Any) -> Context:
    """A run on a backend of the test's own."""
    return Context(
        **{
            "intent_id": bytes(range(32)),
            "agent_id": "tested@1",
            "route": Route(backend, Model("written")),
            "deadline": asyncio.get_running_loop().time() + 60,
            "budget": Budget(),
            **changes,
        }
    )


def local_context(backend: LocalBackend, **changes: Any) -> Context:
    """A run on the real local model, which may be slow where others use the machine."""
    deadline = asyncio.get_running_loop().time() + 240
    own = {"route": Route(backend, backend._model), "deadline": deadline}
    return written_context(backend, **{**own, **changes})
