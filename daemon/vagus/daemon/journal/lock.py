"""One node a data folder: an flock that the kernel drops when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DataInUseError", "data_folder", "end_owner", "holder"]

_END_SECONDS = 20.0


class DataInUseError(VagusError):
    """Another process has the data folder."""

    exit_code = 4


@contextlib.contextmanager
def data_folder(
    path: Path, advice: str = "stop it, or set another `data` folder"
) -> Iterator[Path]:
    """Make the folder where it is missing (0700) and hold it.

    Raises DataInUseError, which ends with `advice`, and VagusError for a folder that cannot be
    written.
    """
    with contextlib.ExitStack() as stack:
        with _writable(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise DataInUseError(f"{path} is in use by process {owner}: {advice}") from None
        with _writable(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield path


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VagusError(
            f"{path} cannot be written ({error.strerror}): mount it for writing, with room on it, "
            "and let this user own it, or take another folder (`data` in a config)"
        ) from None


def holder(path: Path) -> int | None:
    """Return the process that holds a folder; None: nobody does. Takes no lock, and writes nothing."""
    try:
        inode = (path / "lock").stat().st_ino
        process = (path / "lock").read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    # proc(5): number, kind, advisory, mode, process, device:device:inode, and the range.
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, _, owner, place, *_ = line.replace("->", "").split()
        if kind == "FLOCK" and owner == process and place.rpartition(":")[2] == str(inode):
            return int(process)
    return None


def end_owner(path: Path) -> bool:
    """Ask the process that holds a folder to end (SIGTERM) and wait for it; False: nobody does.

    Raises DataInUseError where it has not ended in 20 seconds.
    """
    deadline, asked = time.monotonic() + _END_SECONDS, False
    while time.monotonic() < deadline:
        try:
            handle = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return asked
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip()
            if not asked and owner.isdigit():
                os.kill(int(owner), signal.SIGTERM)
                asked = True
        else:
            return asked
        finally:
            os.close(handle)
        time.sleep(0.1)
    raise DataInUseError(f"{path} is still in use after {_END_SECONDS:g} s")
