"""Installed agents, through real entry points: one broken plugin stops nobody."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.plugins import install
from vagus.agents import AgentConfig, AgentRegistry, installed_agents
from vagus.agents.builtin.chat import Chat
from vagus.protocol import Refuse, agent_id

ONE = """
from vagus.agents import Agent, Mode
class Echo(Agent):
    name, version, Input, Output, mode = "echo", "1.2.0", bytes, bytes, Mode(name="exact")
    async def run(self, ctx, value):
        return value
"""
GOOD = f"""{ONE}
class Echo2(Echo):
    version = "2.0.0"
"""
BROKEN = {
    "raises": "raise RuntimeError('first line\\nsecond line')",
    "exits": "raise SystemExit(3)",
    "generates": "raise GeneratorExit",
    "interrupts": "class Stop(KeyboardInterrupt): pass\nraise Stop",
    "groups": "raise BaseExceptionGroup('a group', [SystemExit(3)])",
    "syntax": "def (",
    "imports": "import a_package_that_is_missing",
    "stranger": "class Agent: pass",
    "nothing": "",
    "nameless": "from vagus.agents import Agent as Base\nclass Agent(Base): pass",
    "runless": ONE.replace("async def run", "async def walk").replace("Echo(", "Agent("),
    "modeless": ONE.replace('Mode(name="exact")', '"exact"').replace("Echo(", "Agent("),
    "ruleless": ONE.replace('"exact"', '"fields", parameters={"rule": "about"}').replace(
        "Echo(", "Agent("
    ),
    "misnamed": ONE.replace("class Echo(", "class Agent("),
    "echo.v3": "raise RuntimeError('a third major that is broken')",
    "wrong_version": (
        "from vagus.agents import Agent as Base\nclass Agent(Base):\n    version = 'one'"
    ),
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with two good agents and many broken ones, installed for one test."""
    entries = {"echo": "vagus_test_good:Echo", "echo.v2": "vagus_test_good:Echo2"}
    (tmp_path / "vagus_test_good.py").write_text(GOOD)
    for name, source in BROKEN.items():
        module = f"vagus_test_{name.replace('.', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        entries[name] = f"{module}:Agent"
    entries["absent"] = "vagus_test_no_such_module:Agent"
    install(tmp_path, "agents", entries, name="plugins")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("vagus_test_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_are_listed_with_their_reason() -> None:
    found = {each.entry: each for each in installed_agents()}
    chat, echo = found["chat"], found["echo"]
    assert (chat.id, chat.mode, chat.error) == ("chat@1", "exact", None)
    assert (echo.id, echo.version, echo.distribution) == ("echo@1", "1.2.0", "plugins 1.0")
    assert found["echo.v2"].id == "echo@2"
    for name in (*BROKEN, "absent"):
        reason = found[name].error
        assert reason is not None, name
        assert reason.isprintable(), name
        assert (found[name].id, found[name].version, found[name].mode) == (None, None, None)
    assert "RuntimeError: first line" in str(found["raises"].error)
    assert "a_package_that_is_missing" in str(found["imports"].error)
    assert "is no Agent" in str(found["stranger"].error)
    assert "run is missing" in str(found["runless"].error)
    assert "mode is of a wrong type" in str(found["modeless"].error)
    assert "parameter 'rule': a rule is" in str(found["ruleless"].error)
    assert "leads to agent echo: name it echo" in str(found["misnamed"].error)


def test_the_built_in_agents_are_installed_whole() -> None:
    own = [each for each in installed_agents() if each.distribution.startswith("vagus ")]
    assert [(each.id, each.error) for each in own] == [
        (f"{name}@1", None) for name in ("chat", "choose", "extract", "fetch", "number", "page")
    ]


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


TWIN = GOOD.replace('class Echo2(Echo):\n    version = "2.0.0"\n', "")


@pytest.mark.usefixtures("plugins")
def test_an_agent_that_two_distributions_bring_is_served_by_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "twin"
    install(site, "agents", {"echo": "vagus_test_twin:Echo"}, name="twin")
    (site / "vagus_test_twin.py").write_text(ONE)
    monkeypatch.syspath_prepend(site)
    with pytest.raises(Refuse, match="installed 2 times"):
        AgentRegistry({"echo@1": {}}).get("echo@1")
    errors = [each.error for each in installed_agents() if each.entry == "echo"]
    assert errors == ["agent echo@1 is installed 2 times: uninstall all but one"] * 2
    assert AgentRegistry({"echo@2": {}}).get("echo@2").version == "2.0.0"


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, GeneratorExit])
def test_an_agent_whose_constructor_fails_is_refused(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise kind("a path of the operator's: /etc/vagus")

    monkeypatch.setattr(Chat, "__init__", fail)
    with pytest.raises(Refuse, match=rf"^agent chat@1 can't be made: {kind.__name__}$"):
        AgentRegistry({"chat@1": {}}).get("chat@1")


def test_what_an_agents_constructor_prints_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Chat.__init__

    def chatty(self: Chat, config: AgentConfig | None = None) -> None:
        print("made")
        made(self, config)

    monkeypatch.setattr(Chat, "__init__", chatty)
    AgentRegistry({"chat@1": {}}).get("chat@1")
    assert tuple(capsys.readouterr()) == ("", "made\n")


@pytest.mark.parametrize(
    ("configs", "asked", "why"),
    [
        ({}, "chat@1", "not served"),
        ({"chat@2": {}}, "chat@2", "chat@2 is not installed: `vagus agents list` shows"),
        ({"none@1": {}}, "none@1", "none@1 is not installed: `vagus agents list` shows"),
        (
            {"chat": {}},
            "chat",
            "'chat' is not name@major, in lower case: `vagus agents list` shows",
        ),
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
