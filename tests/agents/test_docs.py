"""The guide for agents' authors works to the letter: its agent, its payloads, its consumers."""

import decimal
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from eth_abi.abi import decode
from eth_utils import to_hex

from support.agents import Written, local_context, written_context
from vagus.agents import Agent, AgentRegistry, Context, execute, installed_agents
from vagus.agents.conformance import AgentConformance
from vagus.agents.http import GuardedHttp, HttpPolicy, Page
from vagus.agents.sources import Source
from vagus.compute.backends.local import LocalBackend

GUIDE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
NAMES: dict[str, Any] = {"__name__": "guide"}
for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
    exec(compile(block, "docs/agents.md", "exec"), NAMES)
ROW = re.compile(r"^\| `([a-z]+@1)` \| `(\{.*\})` \| `(0x[0-9a-f]+)` \|$", re.MULTILINE)
EXAMPLES = ROW.findall(GUIDE)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-agents")
class TestGuide(AgentConformance):
    payload = b'{"text": "Bees make honey from nectar."}'

    @pytest.fixture
    def agent(self) -> Agent:
        agent: Agent = NAMES["Language"]()
        return agent

    @pytest.fixture
    def context(self, local_model: LocalBackend) -> Callable[[], Context]:
        return lambda: local_context(local_model)


def test_there_is_an_example_of_each_built_in_agent() -> None:
    own = {each.id for each in installed_agents() if each.distribution.startswith("vagus ")}
    assert {agent for agent, _, _ in EXAMPLES} == own


@pytest.mark.parametrize(("agent", "payload", "output"), EXAMPLES)
async def test_an_output_of_the_guide_is_what_the_agent_makes_of_such_an_answer(
    agent: str, payload: str, output: str
) -> None:
    data, asked = bytes.fromhex(output[2:]), json.loads(payload)
    said = {
        "chat@1": data.decode,
        "choose@1": lambda: json.dumps({"choice": data.decode()}),
        "number@1": lambda: json.dumps({"number": str(decode(["int256"], data)[0])}),
        "extract@1": lambda: json.dumps(json.loads(data), indent=3),
        "fetch@1": lambda: served_json(asked, data),
        "page@1": lambda: json.dumps(json.loads(data)),
    }[agent]()
    served: Any = AgentRegistry({agent: {}}).get(agent)
    if agent in {"fetch@1", "page@1"}:
        served.pages = Told(said if agent == "fetch@1" else "<p>Alice is 31.")
    made = await execute(served, written_context(Written(lambda _: said)), payload.encode())
    assert to_hex(made) == output


def served_json(asked: dict[str, Any], data: bytes) -> str:
    """What an API might say that has the value at the payload's path."""
    name = asked["path"].rpartition(".")[2]
    if asked.get("type") == "string":
        return json.dumps({"data": {name: data.decode()}})
    value = decimal.Decimal(decode(["int256"], data)[0]).scaleb(-asked["decimals"])
    return f'{{"data": {{"{name}": {value:f}}}}}'


class Told(GuardedHttp):
    """A server that is not asked, for URLs of the guide; tests/agents/test_fetch.py asks real ones."""

    def __init__(self, body: str) -> None:
        self._body = body.encode()
        super().__init__(HttpPolicy(hosts=()))

    async def get(
        self, url: str, headers: Mapping[str, str] = {}, secrets: Mapping[str, str] = {}
    ) -> Page:
        source = Source(url, "GET", None, bytes(32), 0, "text/html", "", None, 0, None)
        return Page(url, "text/html", None, self._body, source)


def test_the_bounds_of_a_schema_are_those_of_the_code() -> None:
    from vagus.agents import schema

    numbers = set(re.findall(r"\d[\d,]*", GUIDE[GUIDE.index("| in a schema") :]))
    bounds = (schema.MAX_NODES, schema.MAX_NAME, schema.MAX_LENGTH, schema.LENGTH)
    for bound in (*bounds, schema.MAX_ITEMS, schema.ITEMS):
        assert f"{bound:,}" in numbers
    assert rfc8785.dumps({"age": 31}).hex() in GUIDE
