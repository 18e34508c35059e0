"""A tool agent's whole run on ChatVagus, against LangChain's own with a fake model, on one core.

    python benchmarks/agent_tools.py [--seconds 6] [--json]

A run is a `create_agent` made anew, as an agent makes it for each intent, with one tool: the model
calls it, it answers, the model answers. No model computes: the backend of ChatVagus has its two
answers ready, and so has the fake. Each round times a batch of either kind, one after the other, so
that a busy machine slows both alike; the figures are the rounds' medians.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from vagus.agents import Budget, ChatVagus, Context, Route
from vagus.compute import Answer, Backend, BackendConfig, Completion, Model, Price, Times, Usage

BATCH = 20
TARGET = 150
MODEL = Model("ready")
CALL = '{"reply": {"tool": "add", "arguments": {"a": 1, "b": 2}}}'
ANSWER = '{"reply": {"answer": "3"}}'


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Ready(Backend):
    """Calls the tool, then answers."""

    Config = BackendConfig

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def price(self, model: Model) -> Price:
        return Price()

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        text = CALL if len(request.messages) == 2 else ANSWER
        return Answer(text, (), Usage(1, 1), "stop", MODEL.name, Times(0, None, 0))


class Fake(BaseChatModel):
    """The same, as LangChain's messages."""

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Any, **arguments: Any) -> Any:
        return self.bind(tools=[each.name for each in tools])

    def _generate(self, messages: Any, *args: Any, **arguments: Any) -> ChatResult:
        call = {"name": "add", "args": {"a": 1, "b": 2}, "id": f"call_{len(messages)}"}
        message = AIMessage("", tool_calls=[call]) if len(messages) == 1 else AIMessage("3")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: Any, *args: Any, **arguments: Any) -> ChatResult:
        return self._generate(messages)


async def run(model: BaseChatModel) -> None:
    agent = create_agent(model, [add])
    state = await agent.ainvoke({"messages": [{"role": "user", "content": "1 + 2?"}]})
    said = [message.text for message in state["messages"]]
    if said != ["1 + 2?", "", "3", "3"]:
        raise RuntimeError(f"the run went wrong: {said}")


async def per_second(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.process_time()
    for _ in range(BATCH):
        await work()
    return BATCH / (time.process_time() - begin)


async def measure(seconds: float) -> dict[str, float]:
    route = Route(Ready(BackendConfig(kind="ready", name="ready")), MODEL)
    fake = Fake()

    async def vagus() -> None:
        context = Context(
            intent_id=bytes(32),
            agent_id="bench@1",
            route=route,
            deadline=float("inf"),
            budget=Budget(),
        )
        await run(ChatVagus(context))
        if len(context.calls) != 2:
            raise RuntimeError("the evidence lacks a call")

    vagus_rates: list[float] = []
    bare_rates: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(bare_rates) < 3:
        bare_rates.append(await per_second(lambda: run(fake)))
        vagus_rates.append(await per_second(vagus))
    bare, rate = statistics.median(bare_rates), statistics.median(vagus_rates)
    return {"vagus_per_s": rate, "bare_per_s": bare, "ratio": rate / bare}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.seconds))
    if arguments.json:
        print(json.dumps(result))
        return
    print(
        f"a tool agent on ChatVagus          {result['vagus_per_s']:>8,.0f} runs per CPU second  (target: {TARGET})"
    )
    print(f"the same on LangChain's own fake  {result['bare_per_s']:>8,.0f} /s")
    print(f"ratio                             {result['ratio']:>8.2f}")


if __name__ == "__main__":
    main()
