"""The guide to ChatVagus works to the letter."""

import asyncio
import re
from pathlib import Path
from typing import Any

from support.openai_server import openai_server
from vagus.agents import Budget, Context, Route, execute
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig

GUIDE = Path(__file__).parents[2] / "docs" / "chat-model.md"
CODE = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
JSON = re.search(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)


async def test_the_agent_of_the_guide_calls_its_tool_and_answers_as_the_guide_shows() -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    for block in CODE:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert JSON is not None
    async with openai_server() as server:
        server.said = JSON[1].strip().splitlines()
        config = OpenAIConfig(
            name="stub", base_url=server.base_url, models=(ModelConfig(name="repeater"),)
        )
        async with OpenAIBackend(config) as backend:
            (model,) = await backend.models()
            ctx = Context(
                intent_id=bytes(32),
                agent_id="sums@1",
                route=Route(backend, model),
                deadline=asyncio.get_running_loop().time() + 60,
                budget=Budget(),
            )
            assert await execute(names["Sums"](), ctx, b'{"question": "1 + 2?"}') == b"3"
        assert len(ctx.calls) == 2
        assert '"result": "3"' in server.bodies[1]["messages"][-1]["content"]
    assert names["pages"]
