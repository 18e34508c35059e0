"""The five packages are one PEP 420 namespace, and each says truly what it exports."""

import importlib
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = ["protocol", "adapters", "compute", "agents", "daemon"]


def test_no_root_and_no_vagus_folder_is_a_regular_package() -> None:
    for name in NAMES:
        assert not (ROOT / name / "__init__.py").exists()
        assert not (ROOT / name / "vagus" / "__init__.py").exists()
        assert (ROOT / name / "vagus" / name / "__init__.py").is_file()


def test_each_root_holds_its_own_package_alone() -> None:
    for name in NAMES:
        entries = {p.name for p in (ROOT / name / "vagus").iterdir()} - {"__pycache__"}
        assert entries == {name}


def packages() -> list[str]:
    found = []
    for name in NAMES:
        folder = ROOT / name / "vagus" / name
        found.append(f"vagus.{name}")
        modules = pkgutil.walk_packages([str(folder)], f"vagus.{name}.")
        found.extend(module.name for module in modules if module.ispkg)
    return found


def by_kind(name: str) -> tuple[int, str]:
    """Order as ruff does: constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("package", packages())
def test_what_a_package_says_it_exports_is_there_once_and_sorted(package: str) -> None:
    module = importlib.import_module(package)
    exported: list[str] = getattr(module, "__all__", [])
    assert [name for name in exported if not hasattr(module, name)] == []
    assert exported == sorted(set(exported), key=by_kind)


def test_the_protocol_exports_something() -> None:
    assert len(importlib.import_module("vagus.protocol").__all__) > 40
