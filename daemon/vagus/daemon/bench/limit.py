"""The limit: the same work as a flat script without any structure, run on the same machine."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.protocol import VagusError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Limit", "run_limit"]

_RATE = re.compile(r"^pipeline sync=FULL conc=(\d+) .*?([\d,.]+) intents/s", re.MULTILINE)
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Limit:
    """What the script printed: the median of its repeats."""

    in_flight: int
    intents_per_s: float


def run_limit(script: Path, in_flight: int, intents: int, folder: Path) -> Limit:
    """Run `limits/run` with its journal in `folder`. Raises VagusError where it fails."""
    command = [str(script), str(in_flight), str(intents)]
    surroundings = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(folder)}
    try:
        with script.open() as handle:
            # Its server has one fixed port: two at once would end each other's.
            fcntl.flock(handle, fcntl.LOCK_EX)
            done = subprocess.run(  # noqa: S603 - the script that the caller names
                command,
                capture_output=True,
                text=True,
                check=False,
                env=surroundings,
                timeout=_SECONDS,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VagusError(f"{script} cannot be run: {error}") from error
    found = _RATE.search(done.stdout)
    if done.returncode or found is None:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise VagusError(f"{script} failed: {' '.join(said) or 'it printed nothing'}")
    return Limit(int(found[1]), float(found[2].replace(",", "")))
