"""The unit, as systemd's own tools judge it. packaging/tests runs it under a real systemd."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vagus.daemon.config import ConfigError
from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.lock import DataInUseError
from vagus.daemon.node import StartError
from vagus.daemon.worker import WorkerError

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "vagus.service"
UNITS = (UNIT, ROOT / "systemd" / "vagus-worker.service")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="NOT TRIED without systemd-analyze (apt: systemd)",
)


def analyzed(*arguments: object) -> tuple[int, str]:
    command = ("systemd-analyze", "--no-pager", *map(str, arguments))
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.name)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, unit: Path) -> None:
    # The command that a package installs is here this environment's own.
    vagus = Path(sys.executable).parent / "vagus"
    text = unit.read_text().replace("/usr/bin/vagus", str(vagus))
    (tmp_path / unit.name).write_text(text)
    assert analyzed("verify", "--man=no", tmp_path / unit.name) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.name)
def test_the_units_exposure_is_at_most_one_and_a_half(unit: Path) -> None:
    code, said = analyzed("security", "--offline=true", "--threshold=15", unit)
    assert code == 0, said
    found = re.search(rf"Overall exposure level for {unit.name}: ([0-9.]+)", said)
    assert found
    assert float(found[1]) <= 1.5


def test_systemd_does_not_restart_what_only_a_person_can_mend() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    codes = {int(each) for each in unit["Service"]["RestartPreventExitStatus"].split()}
    ends = (ConfigError, StartError, DamagedError, DataInUseError)
    assert codes == {each.exit_code for each in ends} == {2, 3, 4}
    unit.read(UNITS[1])
    codes = {int(each) for each in unit["Service"]["RestartPreventExitStatus"].split()}
    assert codes == {each.exit_code for each in (ConfigError, WorkerError)} == {2, 3}
