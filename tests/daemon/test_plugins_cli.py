"""What `vagus agents`, `vagus adapters` and `vagus backends` do alike for who writes a plugin."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import VAGUS, run, vagus_here
from vagus.daemon.scaffold import new_adapter, new_agent, new_backend

# What writes a plugin of each kind, and the kit that its tests have to hold.
KINDS: dict[str, tuple[Callable[[str, Path], list[Path]], str]] = {
    "adapters": (new_adapter, "AdapterConformance"),
    "agents": (new_agent, "AgentConformance"),
    "backends": (new_backend, "BackendConformance"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_folder_that_is_there_stays_as_it_is(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mood").mkdir()
    (tmp_path / "mood" / "mine").write_text("keep")
    monkeypatch.chdir(tmp_path)
    said = "vagus: mood is there already: take another folder, or remove it\n"
    assert vagus_here(kind, "new", "mood") == (2, "", said)
    assert (tmp_path / "mood" / "mine").read_text() == "keep"
    assert os.listdir(tmp_path / "mood") == ["mine"]
    assert os.listdir(tmp_path) == ["mood"]


def test_a_folder_without_a_plugin_is_not_tested(kind: str, tmp_path: Path) -> None:
    code, out, err = vagus_here(kind, "test", tmp_path)
    assert (code, out) == (2, "")
    assert f"`vagus {kind} new` writes one" in err
    other = "adapters" if kind == "agents" else "agents"
    (tmp_path / "pyproject.toml").write_text(f'[project.entry-points."vagus.{other}"]\nx = "x:X"\n')
    code, out, err = vagus_here(kind, "test", tmp_path)
    assert (code, out) == (2, "")
    assert f"names no {kind.removesuffix('s')} under" in err


def test_tests_without_the_kit_are_no_pass(kind: str, tmp_path: Path) -> None:
    new, kit = KINDS[kind]
    new("lazy", tmp_path / "lazy")
    for each in (tmp_path / "lazy" / "tests").iterdir():
        each.unlink()
    (tmp_path / "lazy" / "tests" / "test_lazy.py").write_text("def test_nothing():\n    pass\n")
    tested = run(VAGUS, kind, "test", "lazy", cwd=tmp_path)
    assert tested.returncode == 1
    assert f".{kit}" in tested.stderr
    assert f"`vagus {kind} new` writes one to copy" in tested.stderr
    assert "lazy: FAILED" in tested.stderr


def test_a_missing_part_is_named_with_its_extra(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, _ = KINDS[kind]
    new("mood", tmp_path / "mood")
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pytest_asyncio" else known(name)
    )
    said = "vagus: pytest_asyncio missing: pip install 'vagus[test]'\n"
    assert vagus_here(kind, "test", tmp_path / "mood") == (2, "", said)
