"""Folders for a while, with processes that are killed while they have one."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vagus.adapters.scratch import scratch_folder

HOLD = """
import sys, tempfile
from vagus.adapters.scratch import scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder("vagus-try-") as folder:
    (folder / "state").write_text("kept as long as its process lives")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def other(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process, and the folder that it has."""
    command = [sys.executable, "-c", HOLD, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_gone_after_its_block(tmp_path: Path) -> None:
    with scratch_folder("vagus-try-") as folder:
        (folder / "file").touch()
        assert folder.is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    process, left = other(tmp_path)
    with process:
        process.kill()
        process.communicate()
    assert (left / "state").exists()
    with scratch_folder("vagus-try-") as folder:
        assert not left.exists()
        assert folder.exists()


def test_what_belongs_to_a_running_process_stays(tmp_path: Path) -> None:
    process, its = other(tmp_path)
    with process:
        with scratch_folder("vagus-try-"):
            assert (its / "state").exists()
        assert (its / "state").exists()
        process.communicate("")
    assert not its.exists()


def test_a_folder_of_that_name_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    somebody = tmp_path / "vagus-try-somebody"
    somebody.mkdir()
    with scratch_folder("vagus-try-"):
        pass
    assert somebody.exists()
