"""Build the Solana programs into package data of the adapter, or check that what is committed fits.

    .venv/bin/python contracts/solana/build.py           writes adapters/vagus/adapters/solana/idl/*
    .venv/bin/python contracts/solana/build.py --check   rebuilds, compares, exits 1 where they differ

Writes `hub.so` and `consumer.so` (ELF files as they are deployed), `hub.json` (the hub's IDL, by idl.py),
`build.json` (what they were made from and by: {"compiler", "linker", "sourceHash", "programs"}), and the
tests' program `tests/solana/hub/puppet.so`. The same sources and the same tools give the same bytes in
any folder.

Tools: Debian's rustc-web, cargo-web and libstd-rust-web-dev-bpf; sbpf-linker is built once into
~/.cache/vagus. Where they are missing, or are others than made the committed build, `--check` says so and
compares the IDL and the hashes of sources and programs alone.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import idl

ROOT = Path(__file__).resolve().parent
REPOSITORY = ROOT.parents[1]
IDL = REPOSITORY / "adapters" / "vagus" / "adapters" / "solana" / "idl"
PROGRAMS = {
    "hub": IDL / "hub.so",
    "consumer": IDL / "consumer.so",
    "puppet": REPOSITORY / "tests" / "solana" / "hub" / "puppet.so",
}
TARGET = "bpfel-unknown-none"
LINKER = "0.2.6"
CACHE = Path.home() / ".cache" / "vagus"
PACKAGES = "rustc-web cargo-web libstd-rust-web-dev-bpf"


class MissingError(Exception):
    """A tool that is not there, or that is another one; the text says which."""


def source_hash() -> str:
    """The sha256 of all that the programs are made from: each file's path and bytes, by path."""
    total = hashlib.sha256()
    for path in sorted(_sources()):
        data = path.read_bytes()
        total.update(f"{path.relative_to(ROOT)} {len(data)}\n".encode() + data)
    return total.hexdigest()


def _sources() -> Iterator[Path]:
    for pattern in ("Cargo.toml", "Cargo.lock", "*/Cargo.toml", "*/src/**/*.rs"):
        yield from ROOT.glob(pattern)


class Toolchain:
    """Debian's compiler for BPF, and the linker that makes Solana's programs of what it emits."""

    def __init__(self) -> None:
        self.rustc, self.cargo = Path("/usr/bin/rustc"), Path("/usr/bin/cargo")
        for tool in (self.rustc, self.cargo):
            if not tool.is_file():
                raise MissingError(f"{tool} is missing: apt-get install {PACKAGES}")
        folder = self._answer(self.rustc, "--print", "target-libdir", "--target", TARGET)
        if not list(Path(folder).glob("libcore-*.rlib")):
            raise MissingError(f"rustc has no {TARGET}: apt-get install {PACKAGES}")
        facts = self._answer(self.rustc, "-vV")
        self.version = facts.splitlines()[0].removeprefix("rustc ")
        found = re.search(r"^LLVM version: (\d+)\.(\d+)", facts, re.MULTILINE)
        if found is None:
            raise MissingError(f"rustc does not name its LLVM: {facts}")
        self.llvm = found[1], found[2]
        # The linker loads the compiler's own LLVM: another LLVM has another folder.
        self.home = CACHE / f"sbpf-linker-{LINKER}-llvm-{found[1]}.{found[2]}"

    @staticmethod
    def _answer(*command: str | Path) -> str:
        done = subprocess.run(  # noqa: S603 - the compiler, by its path
            command, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MissingError(f"{command[0]} fails: {done.stderr.strip()}")
        return done.stdout.strip()

    def prepare(self) -> None:
        """Get the linker, and a folder with a link to the one LLVM that it may load."""
        major, minor = self.llvm
        library = Path(f"/usr/lib/x86_64-linux-gnu/libLLVM.so.{major}.{minor}")
        if not library.is_file():
            raise MissingError(f"{library} is missing, which {self.rustc} has")
        if self.home.is_dir():
            return
        print(f"building sbpf-linker {LINKER} into {self.home} (two minutes)", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="sbpf-linker-build-") as folder:
            made = Path(folder) / "made"
            install = ["install", "sbpf-linker", "--version", LINKER, "--locked", "--root", made]
            # Any Rust builds the linker; the one on the path may be newer than the compiler.
            cargo = shutil.which("cargo") or self.cargo
            done = subprocess.run([cargo, *install], check=False)  # noqa: S603 - this machine's cargo
            if done.returncode:
                raise MissingError(f"sbpf-linker {LINKER} was not built: its output is above")
            (made / "lib").mkdir()
            (made / "lib" / f"libLLVM-{major}.so").symlink_to(library)
            with contextlib.suppress(OSError):  # another build was first
                made.rename(self.home)

    def build(self, folder: Path) -> dict[str, bytes]:
        """Build all programs; their bytes by name."""
        self.prepare()
        # First, so that the folders whose names are taken out of the programs are there.
        self._cargo("fetch", "--target", TARGET, environment={})
        flags = [
            "-Crelocation-model=static",
            "-Ctarget-cpu=v2",
            "-Ctarget-feature=+allows-misaligned-mem-access",
            "-Clink-arg=--arch=v0",
            "-Clink-arg=--deploy=false",
            "-Clink-arg=--llvm-args=-bpf-stack-size=4096",
            *self._remapped(),
        ]
        environment = {
            "RUSTC_BOOTSTRAP": "1",
            "LD_LIBRARY_PATH": str(self.home / "lib"),
            "CARGO_TARGET_DIR": str(folder),
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER": str(self.home / "bin" / "sbpf-linker"),
            "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        }
        self._cargo("build", "--release", "--target", TARGET, environment=environment)
        made = folder / TARGET / "release"
        return {name: (made / f"lib{name}.so").read_bytes() for name in PROGRAMS}

    def _cargo(self, *arguments: str, environment: dict[str, str]) -> None:
        done = subprocess.run(  # noqa: S603 - cargo, by its path
            [self.cargo, *arguments, "--locked"],
            cwd=ROOT,
            env=os.environ | {"RUSTC": str(self.rustc)} | environment,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"cargo {arguments[0]} failed:\n{done.stderr}")

    def _remapped(self) -> Iterator[str]:
        """Panics name source files: by paths that no machine has for itself."""
        home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
        for registry in (home / "registry" / "src").glob("*"):
            yield f"--remap-path-prefix={registry}=/crates"
        yield f"--remap-path-prefix={ROOT}=/vagus"


def record(toolchain: Toolchain, built: dict[str, bytes]) -> str:
    """What the programs were made from and by, as it is committed."""
    document = {
        "compiler": toolchain.version,
        "linker": f"sbpf-linker {LINKER}",
        "sourceHash": source_hash(),
        "programs": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in built.items()
        },
    }
    return json.dumps(document, indent=1) + "\n"


def write() -> int:
    """Build all and write it."""
    toolchain = Toolchain()
    with tempfile.TemporaryDirectory() as folder:
        built = toolchain.build(Path(folder))
    IDL.mkdir(parents=True, exist_ok=True)
    for name, data in built.items():
        PROGRAMS[name].write_bytes(data)
        print(f"{PROGRAMS[name].relative_to(REPOSITORY)}: {len(data)} bytes")
    (IDL / "build.json").write_text(record(toolchain, built))
    (IDL / "hub.json").write_text(idl.document(ROOT / "hub" / "src"))
    return 0


def stale() -> list[str]:
    """What is committed and does not fit its source."""
    found = []
    if (IDL / "hub.json").read_text() != idl.document(ROOT / "hub" / "src"):
        found.append("hub.json")
    said = json.loads((IDL / "build.json").read_text())
    if said["sourceHash"] != source_hash():
        found.append("build.json")
    for name, path in PROGRAMS.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != said["programs"][name]["sha256"]:
            found.append(path.name)
    if found:
        return found
    try:
        toolchain = Toolchain()
        if toolchain.version != said["compiler"]:
            raise MissingError(
                f"this rustc is {toolchain.version}, the build is by {said['compiler']}"
            )
        with tempfile.TemporaryDirectory() as folder:
            built = toolchain.build(Path(folder))
    except MissingError as missing:
        print(f"NOT REBUILT, only hashes were compared: {missing}", file=sys.stderr)
        return []
    return [path.name for name, path in PROGRAMS.items() if path.read_bytes() != built[name]]


def main() -> int:
    """Write or compare all; 1 if something committed differs."""
    parser = argparse.ArgumentParser(description="Build the Solana programs, or check them.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        return write()
    differing = stale()
    for name in differing:
        print(f"{name} differs from its source: run contracts/solana/build.py", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
