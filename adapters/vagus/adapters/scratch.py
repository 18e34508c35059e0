"""Folders for a while: removed at the end, and by whoever comes next where there was no end (kill -9)."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["scratch_folder"]

_LOCK = "lock"


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Make an empty folder in the system's place for such, after sweeping those that ended processes left.

    A process holds the lock of its folder for as long as it lives, so one that can be taken is nobody's.
    """
    _sweep(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        # It gets its name once it is held: in between, a sweep would take it for left behind.
        handle = os.open(folder / f".{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            (folder / f".{_LOCK}").rename(folder / _LOCK)
            content = folder / "content"
            content.mkdir(0o700)
            yield content
        finally:
            os.close(handle)


def _sweep(prefix: str) -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # What is another user's, or goes away meanwhile, is not for this process to remove.
        with contextlib.suppress(OSError):
            if left.stat().st_uid != os.geteuid():
                continue
            handle = os.open(left / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)
