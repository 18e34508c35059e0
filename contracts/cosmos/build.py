"""Build the Cosmos contracts into package data of the adapter, or check that what is committed fits.

    .venv/bin/python contracts/cosmos/build.py           writes adapters/vagus/adapters/cosmos/abi/*
    .venv/bin/python contracts/cosmos/build.py --check   rebuilds, compares, exits 1 where they differ

`hub.wasm` and `consumer.wasm` are the contracts as a chain stores them (gzip makes them a third as
long for the way there), `hub.json` and `callback.json` the JSON schemas of their messages,
`build.json` says what made them: {"compiler", "linker", "sourceHash": sha256 over all that they are
made from, "contracts": {name: {"size", "sha256"}}}; the sha256 is what a chain tells as a code's
hash. The tests' `puppet.wasm` is built along.

The same sources give the same bytes by one compiler and linker alone: those that `build.json` names,
with the standard library built from its sources. They are Debian's: `apt-get install rustc-web
cargo-web rust-web-src lld`. Where they are missing, `--check` compares the hashes of the sources and
of the builds, and says that nothing was rebuilt. The first build takes some minutes and is kept in
the user's cache.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
REPOSITORY = ROOT.parents[1]
ABI = REPOSITORY / "adapters" / "vagus" / "adapters" / "cosmos" / "abi"
PUPPET = REPOSITORY / "tests" / "cosmos" / "hub" / "contracts" / "puppet.wasm"
CONTRACTS = {"hub": ABI / "hub.wasm", "consumer": ABI / "consumer.wasm", "puppet": PUPPET}
COMPILER = "rustc 1.96.0 (ac68faa20 2026-05-25)"
LINKER = "Debian LLD 14.0.6"
# Debian's, not one that comes first in the path.
RUSTC, CARGO, LLD = "/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"
LIBRARY = Path("/usr/lib/rustlib/src/rust/library")
TARGET = "wasm32-unknown-unknown"
# mvp: every CosmWasm machine takes it. Places in sources would be paths of this machine.
FLAGS = "-C target-cpu=mvp -C link-arg=--allow-undefined -Zlocation-detail=none"
LIMIT = 800 * 1024  # bytes of a contract that a wasmd stores


def main() -> int:
    """Write or compare all; 1 if what is committed differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    missing = lacking()
    if missing and not check:
        print(f"cannot build: {missing}", file=sys.stderr)
        return 1
    if missing:
        stale = unfit()
        print(f"nothing was rebuilt, only hashes were compared: {missing}", file=sys.stderr)
    else:
        built = build()
        stale = [path for path, made in built.items() if not _same(path, made)]
        if not check:
            for path, made in built.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(made)
                print(f"{path.relative_to(REPOSITORY)}: {len(made)} bytes")
            return 0
    for path in stale:
        print(
            f"{path.name} differs from its source: run contracts/cosmos/build.py", file=sys.stderr
        )
    return 1 if stale else 0


def lacking() -> str | None:
    """What there is not to build with, in words; None if all is there."""
    for tool in (RUSTC, CARGO, LLD):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    if not LIBRARY.is_dir():
        return f"there is no {LIBRARY}"
    for tool, wanted in ((RUSTC, COMPILER), (LLD, LINKER)):
        command = [tool, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
        if not said.stdout.startswith(wanted):
            return f"{tool} is {said.stdout.strip()}, not {wanted}"
    return None


def build() -> dict[Path, bytes]:
    """Every file that is committed, by its path."""
    cargo("build", "--release", "--lib", "--target", TARGET, "-Zbuild-std=std,panic_abort",
          "-Zbuild-std-features=optimize_for_size", *packages(), RUSTFLAGS=FLAGS)  # fmt: skip
    folder = target_folder() / TARGET / "release"
    made = {path: (folder / f"vagus_{name}.wasm").read_bytes() for name, path in CONTRACTS.items()}
    for path, wasm in made.items():
        if len(wasm) > LIMIT:
            raise SystemExit(f"{path.name}: {len(wasm)} bytes, over the limit of {LIMIT}")
    schemas = json.loads(cargo("run", "-q", "-p", "vagus-interface", "--bin", "schema"))
    document = {
        "compiler": COMPILER,
        "linker": LINKER,
        "sourceHash": source_hash(),
        "contracts": {path.stem: _measures(wasm) for path, wasm in made.items()},
    }
    texts = {
        "build.json": document,
        "hub.json": schemas["hub"],
        "callback.json": schemas["callback"],
    }
    return made | {ABI / name: _text(value) for name, value in texts.items()}


def unfit() -> list[Path]:
    """What does not fit by its hashes alone."""
    document = json.loads((ABI / "build.json").read_text())
    if document["sourceHash"] != source_hash():
        return [ABI / "build.json"]
    measures = document["contracts"]
    return [
        path
        for path in CONTRACTS.values()
        if not path.is_file() or _measures(path.read_bytes()) != measures.get(path.stem)
    ]


def source_hash() -> str:
    """One hash over every file that the builds are made from, with its path."""
    names = ("Cargo.toml", "Cargo.lock")
    files = [path for path in ROOT.rglob("*") if path.suffix == ".rs" or path.name in names]
    listed = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def cargo(*arguments: str, **environment: str) -> bytes:
    """What a cargo command prints; what it says meanwhile goes to the terminal."""
    settings = {
        "RUSTC": RUSTC,
        # The standard library can only be built along by what calls itself a nightly.
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER": LLD,
        "CARGO_TARGET_DIR": str(target_folder()),
    }
    inherited = {
        key: os.environ[key] for key in ("HOME", "PATH", "CARGO_HOME") if key in os.environ
    }
    done = subprocess.run(  # noqa: S603 - the tools that are named above
        [CARGO, arguments[0], "--locked", *arguments[1:]],
        cwd=ROOT,
        env=inherited | settings | environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"cargo {arguments[0]} failed with {done.returncode}")
    return done.stdout


def target_folder() -> Path:
    """Where cargo keeps what it has compiled, in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    lock = (ROOT / "Cargo.lock").read_bytes()
    name = hashlib.sha256(COMPILER.encode() + lock).hexdigest()[:16]
    return base / "vagus" / f"cosmos-contracts-{name}"


def packages() -> list[str]:
    """The contracts, as cargo's arguments."""
    return [argument for name in CONTRACTS for argument in ("-p", f"vagus-{name}")]


def _measures(wasm: bytes) -> dict[str, object]:
    return {"size": len(wasm), "sha256": hashlib.sha256(wasm).hexdigest()}


def _text(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _same(path: Path, made: bytes) -> bool:
    return path.is_file() and path.read_bytes() == made


if __name__ == "__main__":
    raise SystemExit(main())
