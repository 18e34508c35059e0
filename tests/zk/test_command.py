"""`vagus zk`, as an operator types it."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.iris import Built
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError


def test_a_file_is_kept_by_its_sha256_and_shown(built: Built, tmp_path: Path) -> None:
    file = tmp_path / "ceremony.srs"
    file.write_bytes(b"powers of tau")
    told = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    done = CliRunner().invoke(app, ["zk", "add", str(file)])
    assert (done.exit_code, done.stdout) == (0, told)
    shown = json.loads(CliRunner().invoke(app, ["zk", "show", "--json"]).stdout)
    assert (shown["ezkl"], shown["fault"]) == ("23.0.5", None)
    assert shown["files"][told.split()[0]] == 13


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["zk", "add", str(tmp_path / "nothing")])
    with pytest.raises(ConfigError, match=r"nothing cannot be added \(No such file"):
        raise done.exception or AssertionError(done.stdout)


def test_without_the_environment_it_is_said_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["zk", "show"])
    assert done.exit_code == 0
    assert "`make zk` makes it in" in done.stdout
