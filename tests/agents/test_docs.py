"""The guide for agents' authors works to the letter, and the kit passes its example."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vagus.agents import Agent, Context, Route
from vagus.agents.conformance import AgentConformance
from vagus.compute.backends.local import LocalBackend

GUIDE = Path(__file__).parents[2] / "docs" / "agents.md"
NAMES: dict[str, Any] = {"__name__": "guide"}
for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
    exec(compile(block, str(GUIDE), "exec"), NAMES)

kit: type[AgentConformance] = NAMES["TestSummary"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-agents")
class TestGuide(AgentConformance):
    payload = kit.payload

    @pytest.fixture
    def agent(self) -> Agent:
        return NAMES["Summary"]()

    @pytest.fixture
    def context(self, local_model: LocalBackend) -> Callable[[], Context]:
        route = Route(local_model, local_model._model)
        return lambda: Context(
            intent_id=bytes(32),
            agent_id="summary@1",
            route=route,
            deadline=float("inf"),
            budget=NAMES["Budget"](),
        )
