"""A new chain adapter's distribution."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from vagus.adapters.registry import GROUP
from vagus.daemon.scaffold.files import names_of, write_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["new_adapter"]

# CAIP-2's namespaces, of which those that begin with no letter name no class.
_NAMESPACE = re.compile(r"(?=.{3,8}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "init.py.txt": "src/$package/__init__.py",
    "adapter.py.txt": "src/$package/adapter.py",
    "blocks.py.txt": "src/$package/blocks.py",
    "config.py.txt": "src/$package/config.py",
    "heads.py.txt": "src/$package/heads.py",
    "rpc.py.txt": "src/$package/rpc.py",
    "wallet.py.txt": "src/$package/wallet.py",
    "harness.py.txt": "tests/harness.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
}


def new_adapter(namespace: str, folder: Path) -> list[Path]:
    """Write a distribution with an adapter's skeleton; return its files, relative to the folder.

    Raises ValueError, in words for a person, for a namespace that is none or served already and for
    a folder that is there. The folder appears with all of its files or not at all.
    """
    # pytest takes a class for tests by how its name begins.
    if not _NAMESPACE.fullmatch(namespace) or namespace.startswith("test"):
        raise ValueError(
            f"{namespace} is no namespace of CAIP-2 that an adapter can be written for: 3 to 8 small "
            "letters, digits and dashes, a letter first, and not test…; https://namespaces.chainagnostic.org "
            "lists what chains are called"
        )
    for entry in entry_points(group=GROUP, name=namespace):
        owner = entry.dist.name if entry.dist else entry.value
        raise ValueError(
            f"chains of {namespace} are served by {owner}, which is installed: a node takes one "
            "adapter for a namespace"
        )
    names = names_of(namespace, "Adapter")
    title = names["cls"].removesuffix("Adapter")
    names |= {"config": f"{title}Config", "harness": f"{title}Harness", "test": title}
    return write_files("adapter_files", _FILES, names, folder)
