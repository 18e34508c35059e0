"""The guide for adapters' authors works to the letter: its blocks, put where it says, pass the kit's tests."""

import ast
import re
import sys
from pathlib import Path

import pytest

from support.commands import run
from vagus.adapters.base import ChainAdapter
from vagus.adapters.conformance import AdapterConformance, ChainHarness
from vagus.adapters.conformance.rules import CAPABILITIES
from vagus.daemon.scaffold import new_adapter

GUIDE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text()
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CHOSEN = re.compile(r'^pytest -k "(.*)"$', re.MULTILINE)


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return getattr(node, "name", "")


def put_in_place(text: str, block: str) -> str:
    """Put what a block defines in place of what has the same name, and its imports to the others."""
    lines, there, given = text.splitlines(), ast.parse(text), ast.parse(block)
    members = {name_of(node): node for node in ast.walk(there) if isinstance(node, ast.stmt)}
    changes = []
    for new in given.body:
        if isinstance(new, ast.Import | ast.ImportFrom):
            first = next(node for node in there.body if isinstance(node, ast.ImportFrom))
            changes.append((first.lineno, first.lineno - 1, new))
        elif isinstance(new, ast.ClassDef):
            changes += [
                (members[name_of(each)].lineno, members[name_of(each)].end_lineno, each)
                for each in new.body
            ]
        else:
            changes.append((members[name_of(new)].lineno, members[name_of(new)].end_lineno, new))
    source = block.splitlines()
    for begin, end, new in sorted(changes, key=lambda change: -change[0]):
        lines[begin - 1 : end] = source[new.lineno - 1 : new.end_lineno]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("guide") / "lumina"
    new_adapter("lumina", made)
    for file, block in BLOCK.findall(GUIDE):
        path = made / file
        whole = block.startswith('"""')
        path.write_text(block if whole else put_in_place(path.read_text(), block))
    return made


def test_the_first_tests_pass_after_what_the_guide_says(folder: Path) -> None:
    (chosen,) = CHOSEN.findall(GUIDE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen]
    done = run(*command, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert re.match(r"2 passed, \d+ deselected", done.stdout.splitlines()[-1])


def test_what_the_guide_writes_is_typed_and_tidy(folder: Path) -> None:
    sort = ["ruff", "check", "--fix", "--select", "I"]
    for tool in (sort, ["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        done = run(sys.executable, "-m", *tool, cwd=folder)
        assert done.returncode == 0, f"{tool}: {done.stdout}{done.stderr}"


def test_the_guide_names_every_module_capability_and_method() -> None:
    for part in AdapterConformance.__mro__:
        if any(name.startswith("test") for name in vars(part)):
            assert f"| `{part.__module__.rpartition('.')[2]}` |" in GUIDE
    assert [each for each in CAPABILITIES if f"`{each}`" not in GUIDE] == []
    methods = [each for each in vars(ChainHarness) if each[0] != "_" and each != "node"]
    assert [each for each in methods if f"`{each}(" not in GUIDE] == []
    sending = {"estimate", "open_lane", "build", "broadcast", "advance"}
    assert sending <= ChainAdapter.__abstractmethods__
    assert all(f"`{each}`" in GUIDE for each in sending)
