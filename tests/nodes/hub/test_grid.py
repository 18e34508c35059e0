"""The grid of rules and nodes holds what it prints: an empty cell without a reason fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TABLE = """
import pytest

CELLS = {cells}

@pytest.mark.parametrize(("node", "reason"), CELLS)
def test_rule(record_property, node, reason):
    record_property("case", "a rule")
    record_property("node", node)
    if reason:
        record_property("different", reason)
"""
WHOLE: list[tuple[str, str]] = [("anvil", ""), ("surfpool", ""), ("wasmd", "no such account there")]


def run(folder: Path, cells: list[tuple[str, str]], *options: str) -> tuple[int, str]:
    """Run a table of one rule with these cells; its exit status and what it printed."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_table.py").write_text(TABLE.format(cells=cells))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", *options, "."]
    # Of all plugins that are installed here, the one that the table runs under.
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_cell_that_differs_for_a_reason_is_no_empty_one(tmp_path: Path):
    status, said = run(tmp_path, WHOLE, "-n", "2")
    assert "differs on wasmd: no such account there (1)" in said
    assert "EMPTY" not in said
    assert status == pytest.ExitCode.OK


@pytest.mark.parametrize("missing", range(3), ids=lambda at: WHOLE[at][0])
def test_an_empty_cell_without_a_reason_fails_the_run(tmp_path: Path, missing: int):
    cells = WHOLE[:missing] + WHOLE[missing + 1 :]
    status, said = run(tmp_path, cells, "-n", "2")
    assert "2 passed" in said
    assert f"EMPTY: a rule on {WHOLE[missing][0]}" in said
    assert status == pytest.ExitCode.TESTS_FAILED


def test_a_part_that_was_chosen_by_name_has_empty_cells_and_says_so(tmp_path: Path):
    status, said = run(tmp_path, WHOLE, "-n", "0", "-k", "anvil")
    assert "EMPTY: a rule on surfpool" in said
    assert status == pytest.ExitCode.OK
