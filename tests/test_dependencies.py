"""What vagus stands on: pinned by hash, from no named registry, under licenses that Apache-2.0 bears."""

import json
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCKS = [ROOT / "requirements" / name for name in ("uv.txt", "dev.txt")]
# Copyleft that reaches what is built on it; the LGPL and MPL do not reach an importing program.
REACHING = re.compile(r"\b(AGPL|GPL|SSPL|BUSL)\b|(?<!Lesser )General Public License|Affero")


def closure(name: str, extra: str = "") -> set[str]:
    """The names of all distributions that installing one needs here, without its own."""
    found: set[str] = set()
    wanted = [(name, extra)]
    while wanted:
        current, extra = wanted.pop()
        for text in distribution(current).requires or []:
            need = Requirement(text)
            if need.marker and not need.marker.evaluate({"extra": extra}):
                continue
            if need.name not in found:
                found.add(need.name)
                wanted += [(need.name, each) for each in (need.extras or {""})]
    return found


def license_of(name: str) -> str:
    metadata = distribution(name).metadata
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    stated = metadata.get("License-Expression") or " ".join(classifiers)
    return stated or (metadata.get("License") or "").strip()[:200]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pinned_dependency_has_hashes(lock: Path) -> None:
    entries = re.findall(r"^([\w.-]+)==.*?(?=^\S|\Z)", lock.read_text(), re.MULTILINE | re.DOTALL)
    blocks = re.split(r"^(?=[\w.-]+==)", lock.read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(entries) > 0
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_files_carry_no_registry_address(lock: Path) -> None:
    assert "://" not in lock.read_text()
    assert "--index-url" not in lock.read_text()


def test_npm_lock_files_carry_no_registry_address() -> None:
    locks = [
        p for p in ROOT.glob("contracts/**/package-lock.json") if "node_modules" not in p.parts
    ]
    assert locks
    for lock in locks:
        for name, package in json.loads(lock.read_text())["packages"].items():
            assert "resolved" not in package, name
            assert not name or "integrity" in package, name


def test_no_dependency_has_a_license_that_reaches_what_imports_it() -> None:
    needed = closure("vagus", "local")
    assert {"web3", "aiohttp", "xllamacpp"} <= needed
    licenses = {name: license_of(name) for name in sorted(needed)}
    assert {name: text for name, text in licenses.items() if REACHING.search(text)} == {}
