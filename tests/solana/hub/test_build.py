"""The committed builds fit their sources, and the IDL fits the program."""

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.solana_idl import build, idl

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts" / "solana"
SOURCES = CONTRACTS / "hub" / "src"
BUILDS = [*Path(__file__).parent.glob("*.so")]


def test_the_committed_builds_are_what_the_sources_compile_to():
    command = [sys.executable, str(CONTRACTS / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "NOT REBUILT" in done.stderr:
        pytest.skip(done.stderr.strip())


def test_a_build_that_differs_from_its_source_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(CONTRACTS))
    script = module("build")
    for name in ("hub.json", "build.json", "hub.so", "consumer.so"):
        (tmp_path / name).write_bytes((script.IDL / name).read_bytes())
    (tmp_path / "hub.so").write_bytes(b"another program")
    monkeypatch.setattr(script, "PROGRAMS", script.PROGRAMS | {"hub": tmp_path / "hub.so"})
    monkeypatch.setattr(script, "IDL", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    assert script.main() == 1
    said = "hub.so differs from its source: run contracts/solana/build.py\n"
    assert capsys.readouterr().err == said


def module(name: str) -> Any:
    """A script of contracts/solana as a module."""
    spec = importlib.util.spec_from_file_location(f"solana_{name}", CONTRACTS / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_a_build_says_what_made_it():
    said = json.loads((Path(str(module_folder())) / "build.json").read_text())
    assert list(said) == ["compiler", "linker", "sourceHash", "programs"]
    for name in ("hub", "consumer"):
        assert said["programs"][name]["sha256"] == hashlib.sha256(build(name)).hexdigest()
        assert build(name).startswith(b"\x7fELF")


def module_folder() -> Path:
    """Where the package data is."""
    return CONTRACTS.parents[1] / "adapters" / "vagus" / "adapters" / "solana" / "idl"


def test_instructions_have_the_bytes_that_the_program_dispatches():
    arms = re.findall(
        r"^        (\d+) => call::(\w+)::(\w+)\(", (SOURCES / "lib.rs").read_text(), re.MULTILINE
    )
    assert [int(byte) for byte, _, _ in arms] == list(range(len(arms)))
    listed = [each["discriminator"] for each in idl()["instructions"]]
    assert listed == [[byte] for byte in range(len(arms))]
    for (_, file, function), each in zip(arms, idl()["instructions"], strict=True):
        words = {
            "settle",
            *each["name"].split("_"),
            *(["staging"] if "stage" in each["name"] else []),
        }
        assert words & {file, function, *file.split("_")}, each["name"]


def test_accounts_have_the_kinds_and_sizes_that_the_program_asserts():
    text = (SOURCES / "accounts.rs").read_text()
    records = {
        n: (int(k), int(s)) for n, k, s in re.findall(r"record!\((\w+), (\d+), (\d+)\)", text)
    }
    document = idl()
    types = {each["name"]: each["type"]["fields"] for each in document["types"]}
    kinds = {each["name"]: each["discriminator"][0] for each in document["accounts"]}
    assert kinds == {name: kind for name, (kind, _) in records.items()}
    for name, (_, size) in records.items():
        assert 1 + sum(width(field["type"], types) for field in types[name]) == size, name


def width(kind: Any, types: dict[str, Any]) -> int:
    """A type's bytes; those without a size of their own follow the record."""
    match kind:
        case "bytes":
            return 0
        case {"array": [inner, count]}:
            return count * width(inner, types)
        case {"defined": {"name": name}}:
            return sum(width(field["type"], types) for field in types[name])
    return {"u8": 1, "bool": 1, "u32": 4, "u64": 8, "pubkey": 32}[kind]


def test_events_have_the_names_that_the_program_logs():
    text = (SOURCES / "events.rs").read_text()
    logged = {
        name: bytes.fromhex(value.replace("\\x", ""))
        for name, value in re.findall(r'pub const (\w+): Name = \*b"([^"]+)"', text)
    }
    listed = {
        re.sub("(?<!^)(?=[A-Z])", "_", each["name"]).upper(): bytes(each["discriminator"])
        for each in idl()["events"]
    }
    assert listed == logged


def test_the_callback_has_the_name_that_anchor_gives_it():
    name = hashlib.sha256(b"global:on_result").digest()[:8]
    written = "".join(f"\\x{byte:02x}" for byte in name)
    for source in ("hub/src/instructions/retry.rs", "consumer/src/lib.rs", "puppet/src/lib.rs"):
        assert f'*b"{written}"' in (CONTRACTS / source).read_text()


@pytest.mark.parametrize("source", sorted(CONTRACTS.glob("*/src/**/*.rs")), ids=lambda p: p.name)
def test_a_source_is_documented_and_short(source: Path):
    text = source.read_text()
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n//! ")
    assert len(text.splitlines()) < 500
