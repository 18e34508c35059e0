"""A new backend's distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.compute import backend_kinds
from vagus.daemon.scaffold.files import check_name, names_of, write_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["new_backend"]

_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "init.py.txt": "src/$package/__init__.py",
    "backend.py.txt": "src/$package/backend.py",
    "test_backend.py.txt": "tests/test_$package.py",
}


def new_backend(name: str, folder: Path) -> list[Path]:
    """Write a distribution with a backend of the kind `name`; return its files, relative to the folder.

    Raises ValueError, in words for a person, for a name that is none or taken and for a folder
    that is there. The folder appears with all of its files or not at all.
    """
    check_name(name, "backend", "campus-gpu")
    for each in backend_kinds():
        if each.name == name:
            raise ValueError(
                f"a backend {name} is installed, by {each.distribution}: take another name"
            )
    names = names_of(name, "Backend")
    names["config"] = names["cls"].removesuffix("Backend") + "Config"
    return write_files("backend_files", _FILES, names, folder)
