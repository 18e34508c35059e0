"""A new agent's distribution."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING

from vagus.agents import installed_agents
from vagus.daemon.scaffold.files import check_name, names_of, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from vagus.agents import Agent

__all__ = ["new_agent"]

_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "init.py.txt": "src/$package/__init__.py",
    "agent.py.txt": "src/$package/agent.py",
    "test_agent.py.txt": "tests/test_$package.py",
}


def new_agent(name: str, folder: Path) -> list[Path]:
    """Write a distribution with the agent `name@1`; return its files, relative to the folder.

    Raises ValueError, in words for a person, for a name that is none or taken and for a folder
    that is there. The folder appears with all of its files or not at all.
    """
    check_name(name, "agent", "mood-of-text")
    for each in installed_agents():
        if each.entry.split(".")[0] == name:
            raise ValueError(
                f"an agent {name} is installed, by {each.distribution}: take another name"
            )
    names = names_of(name, "Agent")

    def add_manifest(draft: Path) -> None:
        (draft / "manifest.json").write_text(_manifest(draft, names), encoding="utf-8")

    return write_files("agent_files", _FILES, names, folder, add_manifest)


def _manifest(draft: Path, names: dict[str, str]) -> str:
    """Return the manifest of the agent that was just written."""
    module_name = f"{names['package']}.agent"
    path = draft / "src" / names["package"] / "agent.py"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(spec)
    # pydantic looks annotations up in the module, by its name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[module_name]
    agent: Agent = getattr(module, names["cls"])()
    return json.dumps(agent.manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
