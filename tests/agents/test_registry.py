"""Installed agents, through real entry points: one broken plugin stops nobody."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.agents import AgentRegistry, installed_agents
from vagus.agents.builtin.chat import Chat
from vagus.protocol import Refuse, agent_id

GOOD = """
from vagus.agents import Agent, Mode
class Echo(Agent):
    name, version, Input, Output, mode = "echo", "1.2.0", bytes, bytes, Mode(name="exact")
    async def run(self, ctx, value):
        return value
class Echo2(Echo):
    version = "2.0.0"
"""
BROKEN = {
    "raises": "raise RuntimeError('first line\\nsecond line')",
    "exits": "raise SystemExit(3)",
    "syntax": "def (",
    "imports": "import a_package_that_is_missing",
    "stranger": "class Agent: pass",
    "nothing": "",
    "nameless": "from vagus.agents import Agent as Base\nclass Agent(Base): pass",
    "wrong_version": (
        "from vagus.agents import Agent as Base\nclass Agent(Base):\n    version = 'one'"
    ),
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with two good agents and many broken ones, installed for one test."""
    info = tmp_path / "plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins\nVersion: 1.0\n")
    lines = ["echo = vagus_test_good:Echo", "echo.v2 = vagus_test_good:Echo2"]
    (tmp_path / "vagus_test_good.py").write_text(GOOD)
    for name, source in BROKEN.items():
        (tmp_path / f"vagus_test_{name}.py").write_text(source)
        lines.append(f"{name} = vagus_test_{name}:Agent")
    lines.append("absent = vagus_test_no_such_module:Agent")
    (info / "entry_points.txt").write_text("[vagus.agents]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("vagus_test_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_are_listed_with_their_reason() -> None:
    found = {plugin.name: plugin for plugin in installed_agents()}
    assert found["chat"].detail == "chat@1"
    assert found["chat"].error is None
    assert found["echo"].detail == "echo@1"
    assert found["echo.v2"].detail == "echo@2"
    assert found["echo"].distribution == "plugins 1.0"
    for name in (*BROKEN, "absent"):
        reason = found[name].error
        assert reason is not None, name
        assert reason.isprintable(), name
    assert "RuntimeError: first line" in str(found["raises"].error)
    assert "a_package_that_is_missing" in str(found["imports"].error)
    assert "is no Agent" in str(found["stranger"].error)


@pytest.mark.usefixtures("plugins")
def test_majors_of_one_agent_live_side_by_side() -> None:
    registry = AgentRegistry({"echo@1": {}, "echo@2": {"margin": 5}})
    assert registry.get("echo@1").version == "1.2.0"
    assert registry.by_id(agent_id("echo@2")).config.margin == 5
    assert registry.by_id(agent_id("echo@2")) is registry.get("echo@2")


@pytest.mark.usefixtures("plugins")
def test_only_what_is_asked_for_is_imported() -> None:
    registry = AgentRegistry({"chat@1": {}, "raises@1": {}, "echo@1": {}})
    assert isinstance(registry.by_id(agent_id("chat@1")), Chat)
    assert not [name for name in sys.modules if name.startswith("vagus_test_")]
    with pytest.raises(Refuse, match="RuntimeError"):
        registry.get("raises@1")
    assert registry.get("echo@1").name == "echo"
    assert registry.enabled == ("chat@1", "raises@1", "echo@1")


@pytest.mark.parametrize(
    ("configs", "asked", "why"),
    [
        ({}, "chat@1", "not served"),
        ({"chat@2": {}}, "chat@2", "installed 0 times"),
        ({"none@1": {}}, "none@1", "installed 0 times"),
        ({"chat@1": {"max_tokns": 1}}, "chat@1", "max_tokns"),
        ({"chat@1": {"max_tokens": 0}}, "chat@1", "max_tokens"),
    ],
)
def test_what_cannot_be_served_is_refused(
    configs: dict[str, dict[str, object]], asked: str, why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        AgentRegistry(configs).get(asked)


def test_an_unknown_agent_id_is_refused() -> None:
    with pytest.raises(Refuse, match="no agent 0x0101"):
        AgentRegistry({"chat@1": {}}).by_id(b"\x01" * 32)
