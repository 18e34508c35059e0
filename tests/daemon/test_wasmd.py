"""How the Cosmos node gets onto a machine: built once, whole or not at all, and said in words.

Go is a script here that writes what Go would: a real build takes minutes, and every test that needs
the node has gone through it.
"""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from vagus.daemon import wasmd
from vagus.daemon.fetch import FetchError, once
from vagus.daemon.wasmd import wasmd_path

GO = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  env) echo {version} ;;
  list) echo {vm} ;;
  build)
    [ -s go.mod ] && [ -s go.sum ] || exit 3
    echo some/package >&2
    {build}
    while [ "$1" != -o ]; do shift; done
    echo binary > "$2/wasmd"; chmod 755 "$2/wasmd" ;;
esac
"""


class Machine:
    """A machine with an empty cache and a Go of a version."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.bin.mkdir()
        self.said: list[str] = []
        self.vm = folder / "vm"
        (self.vm / "internal" / "api").mkdir(parents=True)
        (self.vm / "internal" / "api" / f"libwasmvm.{os.uname().machine}.so").write_text("vm")

    def go(self, version: str = "go1.26.8", build: str = "") -> None:
        script = GO.format(log=self.log, version=version, vm=self.vm, build=build)
        self.program("go", script)

    def program(self, name: str, script: str = "#!/bin/sh\n") -> None:
        path = self.bin / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def built(self) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if line.startswith("build")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(found.cache))
    monkeypatch.setenv("PATH", f"{found.bin}:/usr/bin:/bin")
    return found


def test_the_node_is_built_once_beside_its_virtual_machine(machine: Machine) -> None:
    machine.go()
    path = wasmd_path(machine.said.append)
    assert path.read_text() == "binary\n"
    assert (path.parent / f"libwasmvm.{os.uname().machine}.so").read_text() == "vm"
    assert any("about 5 minutes" in line for line in machine.said)
    machine.said.clear()
    assert wasmd_path(machine.said.append) == path
    assert machine.said == []
    assert len(machine.built()) == 1


def test_a_build_that_fails_leaves_nothing_and_says_why(machine: Machine) -> None:
    machine.go(build="echo 'no such module' >&2; exit 1")
    with pytest.raises(FetchError, match="no such module; is the Go module proxy in reach"):
        wasmd_path(machine.said.append)
    left = [each.name for each in (machine.cache / "vagus").iterdir()]
    assert all(name.endswith(".lock") for name in left)
    machine.go()
    assert wasmd_path(machine.said.append).exists()


def test_how_far_it_is_is_said_while_it_builds(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wasmd, "_PROGRESS", 0.0)
    machine.go(build="echo 'go: downloading x' >&2; echo a/b >&2; echo c/d >&2")
    wasmd_path(machine.said.append)
    assert machine.said[1:] == [
        "  1 of about 1760 packages compiled",
        "  fetching modules",
        "  2 of about 1760 packages compiled",
        "  3 of about 1760 packages compiled",
    ]


@pytest.mark.parametrize("version", ["go1.20.14", "devel", ""])
def test_a_go_that_is_too_old_is_not_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    machine.go(version)
    monkeypatch.setattr(wasmd.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"install Go 1\.21 or later"):
        wasmd_path(machine.said.append)
    assert machine.built() == []


def test_without_a_c_compiler_that_is_said_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.go()
    monkeypatch.setenv("PATH", str(machine.bin))
    with pytest.raises(FetchError, match="install gcc"):
        wasmd_path(machine.said.append)


def test_who_waits_for_another_build_is_told_so(tmp_path: Path) -> None:
    said: list[str] = []
    with (tmp_path / ".thing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def say(line: str) -> None:
            said.append(line)
            # The other one is done.
            (tmp_path / "thing").touch()
            fcntl.flock(lock, fcntl.LOCK_UN)

        with once(tmp_path / "thing", say) as missing:
            assert not missing
    assert said == ["Waiting for another process, which fetches or builds thing"]
