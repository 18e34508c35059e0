"""One node a data folder."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vagus.daemon.journal.lock import DataInUseError, data_folder, end_owner

HOLD = """
import pathlib, sys
from vagus.daemon.journal.lock import data_folder
with data_folder(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that has the folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with data_folder(tmp_path / "a" / "data") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o600


def test_a_second_node_is_told_which_process_has_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        by = f"in use by process {process.pid}"
        with pytest.raises(DataInUseError, match=by) as caught, data_folder(tmp_path):
            pytest.fail("both have it")
        assert caught.value.exit_code == 4
        process.communicate("")


def test_a_folder_is_free_once_its_process_was_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.communicate()
    with data_folder(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_is_free_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with data_folder(tmp_path):
            pass


def test_the_owner_of_a_folder_is_asked_to_end(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert end_owner(tmp_path)
        process.communicate()
    assert process.returncode == -15


def test_nobody_is_asked_to_end_where_nobody_has_the_folder(tmp_path: Path) -> None:
    assert not end_owner(tmp_path)
    with data_folder(tmp_path):
        pass
    assert not end_owner(tmp_path)
