"""npm packages that tests run, pinned by a lock beside them and kept in the cache."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from vagus.daemon.fetch import cache_dir, npm_command

__all__ = ["installed", "node"]

PINNED = ("package.json", "package-lock.json", ".npmrc")


def installed(source: Path, name: str) -> Path:
    """The node_modules of a folder's lock, installed once for each content of it."""
    lock = (source / "package-lock.json").read_bytes()
    folder = cache_dir() / f"{name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as guard:  # the tests' workers share the cache
        fcntl.flock(guard, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists():
            for each in PINNED:
                shutil.copy(source / each, folder)
            install = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(install, cwd=folder, capture_output=True, check=True)
            done.touch()
    return folder / "node_modules"


def node() -> str:
    """The node that npm runs on."""
    npm = npm_command()
    found = npm[0] if len(npm) > 1 else shutil.which("node")
    assert found
    return found
