"""The committed builds fit their sources, the schema fits the hub, and the docs name what there is."""

import hashlib
import importlib.util
import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from support.hub_cosmos import ARGUMENTS, STRUCTS, snake

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = REPOSITORY / "contracts" / "cosmos"
ABI = Path(str(files("vagus.adapters.cosmos").joinpath("abi")))
GUIDE = (REPOSITORY / "docs" / "hub-cosmos.md").read_text()


def script(name: str) -> Any:
    """A script of contracts/cosmos as a module."""
    spec = importlib.util.spec_from_file_location(name, CONTRACTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema(name: str = "hub") -> Any:
    return json.loads((ABI / f"{name}.json").read_text())


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The build script on a machine that cannot build, which takes minutes: `make check` does."""
    module = script("build")
    monkeypatch.setattr(module, "lacking", lambda: "no compiler")
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    return module


def test_the_committed_builds_are_of_the_committed_sources(build: Any):
    assert build.main() == 0


def test_a_build_that_differs_from_its_source_is_named(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "hub.wasm").write_bytes(b"\0asm")
    monkeypatch.setitem(build.CONTRACTS, "hub", tmp_path / "hub.wasm")
    assert build.main() == 1
    told = "hub.wasm differs from its source: run contracts/cosmos/build.py\n"
    assert told in capsys.readouterr().err
    monkeypatch.setattr(build, "source_hash", lambda: "0" * 64)
    assert build.main() == 1
    assert "build.json differs" in capsys.readouterr().err


def test_a_machine_that_cannot_build_says_so(build: Any, capsys: pytest.CaptureFixture[str]):
    assert build.main() == 0
    assert "nothing was rebuilt" in capsys.readouterr().err
    sys.argv = ["build.py"]
    assert build.main() == 1
    assert "cannot build: no compiler" in capsys.readouterr().err


def test_a_build_says_what_made_it():
    document = json.loads((ABI / "build.json").read_text())
    assert list(document) == ["compiler", "linker", "sourceHash", "contracts"]
    assert document["compiler"].startswith("rustc ")
    for name in ("hub", "consumer"):
        wasm = (ABI / f"{name}.wasm").read_bytes()
        measures = {"size": len(wasm), "sha256": hashlib.sha256(wasm).hexdigest()}
        assert document["contracts"][name] == measures


def test_no_path_of_the_machine_that_built_is_in_a_build():
    for wasm in ABI.glob("*.wasm"):
        text = wasm.read_bytes()
        here = str(REPOSITORY).encode()
        for trace in (here, b"/home/", b"/root/", b"/usr/", b"registry/", b".cargo"):
            assert trace not in text, (wasm.name, trace)


def exports(wasm: bytes) -> set[str]:
    """The names that a module exports (WebAssembly 1.0, section 7)."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (wasm[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if wasm[at - 1] < 128:
                return value, at

    at, found = 8, set()
    while at < len(wasm):
        section, (size, at) = wasm[at], number(at + 1)
        if section == 7:
            count, here = number(at)
            for _ in range(count):
                length, here = number(here)
                found.add(wasm[here : here + length].decode())
                _, here = number(here + length + 1)
        at += size
    return found


def test_the_hub_exports_no_way_to_change_it():
    entries = {"instantiate", "execute", "reply", "query"}
    machine = {"memory", "allocate", "deallocate", "interface_version_8", "requires_iterator"}
    machine |= {"__data_end", "__heap_base"}
    needs = {f"requires_cosmwasm_{version}" for version in ("1_1", "1_2", "1_3", "1_4", "2_0")}
    assert exports((ABI / "hub.wasm").read_bytes()) == entries | machine | needs
    assert schema()["migrate"] is schema()["sudo"] is None


def test_the_lock_file_names_one_public_index_and_nothing_else():
    lock = (CONTRACTS / "Cargo.lock").read_text()
    sources = set(re.findall(r'^source = "(.*)"$', lock, re.MULTILINE))
    assert sources == {"registry+https://github.com/rust-lang/crates.io-index"}


# The schema.


def variants(message: str) -> dict[str, Any]:
    """An enum's variants with their schemas."""
    found = {}
    for variant in schema()[message]["oneOf"]:
        assert variant["additionalProperties"] is False
        (found[variant["required"][0]],) = variant["properties"].values()
    return found


def test_the_calls_of_the_schema_are_those_of_the_evm_hub():
    assert variants("execute").keys() == {snake(name) for name in ARGUMENTS}


def test_the_fields_of_the_messages_are_the_protocols_in_their_order():
    definitions = schema()["execute"]["definitions"]
    for struct, fields in STRUCTS.items():
        found = definitions[struct.capitalize()]
        assert sorted(found["required"]) == sorted(snake(field) for field in fields)
        assert found["additionalProperties"] is False
    source = (CONTRACTS / "interface" / "src" / "messages.rs").read_text()
    for struct, fields in STRUCTS.items():
        body = source[source.index(f"pub struct {struct.capitalize()} {{") :]
        told = re.findall(r"^    pub (\w+):", body[: body.index("}")], re.MULTILINE)
        assert told == [snake(field) for field in fields]


@pytest.mark.parametrize("message", ["execute", "query"])
def test_every_call_and_query_is_described_in_the_guide(message: str):
    for name in variants(message):
        assert f"`{name}`" in GUIDE or f'"{name}"' in GUIDE, name


def test_the_callbacks_message_is_described_in_the_guide():
    outcome = schema("callback")["definitions"]["Outcome"]
    example = GUIDE[GUIDE.index('{"on_result"') :]
    assert set(re.findall(r'"(\w+)":', example[: example.index("}}")])) == {
        "on_result",
        *outcome["required"],
    }


def test_every_event_of_the_hub_is_described_with_its_attributes():
    sources = "".join(p.read_text() for p in sorted((CONTRACTS / "hub" / "src").glob("*.rs")))
    names = set(re.findall(r'Event::new\("(\w+)"\)', sources)) | {"paused", "unpaused"}
    table = GUIDE[GUIDE.index("## Events") : GUIDE.index("## Take the answer")]
    assert set(re.findall(r"`wasm-(\w+)`", table)) == names
    for attribute in re.findall(r'\.add_attribute\("(\w+)"', sources):
        assert f"`{attribute}`" in table, attribute


def test_no_source_is_longer_than_500_lines():
    for source in CONTRACTS.rglob("*.rs"):
        assert len(source.read_text().splitlines()) < 500, source
        assert source.read_text().startswith("// SPDX-License-Identifier: Apache-2.0"), source
