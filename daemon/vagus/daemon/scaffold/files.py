"""A new distribution's files: those of a template with its names filled in, all of them or none."""

from __future__ import annotations

import keyword
import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_name", "names_of", "write_files"]

_PACKAGE = "vagus.daemon.scaffold"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME = 32
_USED = frozenset({*keyword.kwlist, *sys.stdlib_module_names, "conftest", "pytest", "vagus"})


def check_name(name: str, kind: str, example: str) -> None:
    """Raise ValueError, in words for a person, for a name that no plugin can have."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(
            f"{name} is no {kind}'s name: up to {MAX_NAME} small letters and digits, words joined "
            f"by a dash, as in {example}"
        )
    # pytest takes a class for tests by how its name begins.
    if name.startswith("test") or name.replace("-", "_") in _USED:
        raise ValueError(
            f"{name} is a name that Python, pytest or vagus uses: take another, such as my-{name}"
        )


def names_of(name: str, kind: str) -> dict[str, str]:
    """Return what a template is filled in with; `kind` ends the class's name."""
    return {
        "name": name,
        "distribution": f"vagus-{name}",
        "package": "vagus_" + name.replace("-", "_"),
        "cls": "".join(word.capitalize() for word in name.split("-")) + kind,
    }


def write_files(
    template: str,
    targets: Mapping[str, str],
    names: Mapping[str, str],
    folder: Path,
    finish: Callable[[Path], None] = lambda draft: None,
) -> list[Path]:
    """Write a distribution; return its files, relative to the folder.

    `targets` says where each of the template's files goes, with `$package` for the import package.
    `finish` gets the folder before it has its name. Raises ValueError for a folder that is there.
    """
    if folder.exists():
        raise ValueError(f"{folder} is there already: take another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        draft = Path(scratch) / "draft"
        for source, target in targets.items():
            text = (files(_PACKAGE) / template / source).read_text(encoding="utf-8")
            path = draft / Template(target).substitute(names)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(names), encoding="utf-8")
        finish(draft)
        draft.rename(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
