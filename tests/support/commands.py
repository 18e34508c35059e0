"""`vagus` and other commands run to their end; support.node has those that run on beside a test."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from vagus.daemon.cli import main

__all__ = ["VAGUS", "run", "vagus_beside", "vagus_here"]

VAGUS = Path(sys.executable).parent / "vagus"
# What vagus[test] brings to an author, and not all that our own tests need besides.
PYTEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_asyncio.plugin"}


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without what would configure a node or comes from these tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VAGUS_", "PYTEST_"))}
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=kept | PYTEST | env,
        capture_output=True,
        text=True,
        check=False,
    )


def vagus_here(*arguments: object, **env: str) -> tuple[object, str, str]:
    """Run `vagus` in this process, from its arguments to its exit code, stdout and stderr.

    That spares the second in which a process imports: for commands that start none, leave nothing
    open and ask nobody.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VAGUS_")}
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, kept | env, clear=True),
        mock.patch.object(sys, "argv", ["vagus", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


async def vagus_beside(*arguments: object, **env: str) -> tuple[object, str, str]:
    """Run `vagus` in a thread of this process, while the test's loop serves what it asks."""
    return await asyncio.to_thread(vagus_here, *arguments, **env)
