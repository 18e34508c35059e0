"""A new agent's distribution: the files of `template/`, with its names filled in."""

import importlib.util
import json
import keyword
import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

from vagus.agents.base import Agent
from vagus.agents.registry import installed_agents

__all__ = ["new_distribution"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME = 32
_USED = frozenset({*keyword.kwlist, *sys.stdlib_module_names, "conftest", "pytest", "vagus"})
# A file of the template, and where it goes; $package is the import package.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "init.py.txt": "src/$package/__init__.py",
    "agent.py.txt": "src/$package/agent.py",
    "test_agent.py.txt": "tests/test_$package.py",
}


def new_distribution(name: str, folder: Path) -> list[Path]:
    """Write a distribution with the agent `name@1`; return its files, relative to the folder.

    Raises ValueError, in words for a person, for a name that is none or taken and for a folder
    that is there. The folder appears with all of its files or not at all.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"{name} is no agent's name: up to {MAX_NAME} small letters and digits, words joined "
            "by a dash, as in mood-of-text"
        )
    # pytest takes a class for tests by how its name begins.
    if name.startswith("test") or name.replace("-", "_") in _USED:
        raise ValueError(
            f"{name} is a name that Python, pytest or vagus uses: take another, such as my-{name}"
        )
    for each in installed_agents():
        if each.entry.split(".")[0] == name:
            raise ValueError(
                f"an agent {name} is installed, by {each.distribution}: take another name"
            )
    if folder.exists():
        raise ValueError(f"{folder} is there already: take another folder, or remove it")
    names = {
        "name": name,
        "distribution": f"vagus-{name}",
        "package": "vagus_" + name.replace("-", "_"),
        "cls": "".join(word.capitalize() for word in name.split("-")) + "Agent",
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        draft = Path(scratch) / "draft"
        for source, target in _FILES.items():
            text = (files("vagus.agents") / "template" / source).read_text(encoding="utf-8")
            path = draft / Template(target).substitute(names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(names), encoding="utf-8")
        (draft / "manifest.json").write_text(_manifest(draft, names), encoding="utf-8")
        draft.rename(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


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
