"""The committed builds fit their sources, and the interfaces fit the hub."""

import importlib.util
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from support.contracts import CONTRACTS, committed
from support.solidity import solidity

NAMES = ["hub", "consumer", "reverter", "market"]


def test_the_committed_builds_are_what_the_sources_compile_to():
    command = [sys.executable, str(CONTRACTS / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_build_that_differs_from_its_source_is_named(tmp_path, monkeypatch, capsys):
    build = script("build")
    for name in build.CONTRACTS:
        document = json.loads((build.ABI / name).read_text())
        (tmp_path / name).write_text((build.ABI / name).read_text())
        assert document["sourceHash"].startswith("0x")
    (tmp_path / "hub.json").write_text("{}")
    monkeypatch.setattr(build, "ABI", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    assert build.main() == 1
    assert (
        capsys.readouterr().err == "hub.json differs from its source: run contracts/evm/build.py\n"
    )


def script(name: str) -> Any:
    """A script of contracts/evm as a module."""
    spec = importlib.util.spec_from_file_location(name, CONTRACTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_build_says_what_made_it(name: str):
    build = committed(name)
    assert list(build) == ["contract", "compiler", "sourceHash", "runtime", "abi", "bytecode"]
    assert build["compiler"] == {"version": "0.4.3", "evm_version": "cancun", "optimize": "gas"}
    assert re.fullmatch("0x[0-9a-f]{64}", build["sourceHash"])


def test_every_function_its_arguments_and_every_file_are_documented():
    for source in sorted(CONTRACTS.rglob("*.vy")):
        text = source.read_text()
        assert re.search(r'^"""\n@title  .+\n@license Apache-2.0\n@notice ', text, re.MULTILINE), (
            source
        )
        functions = re.findall(DEFINITION, text, re.MULTILINE | re.DOTALL)
        assert len(functions) == len(re.findall(r"^def ", text, re.MULTILINE)), source
        for decorators, name, arguments, said in functions:
            assert "@notice " in said, f"{source.name} {name}"
            if "@external" in decorators or source.name == "Hub.vy":
                told = re.findall(r"@param (\w+)", said)
                assert told == re.findall(r"(\w+): ", arguments), f"{source.name} {name}"


# Decorators, name, arguments and docstring of a function.
DEFINITION = r'((?:^@\w+\n)+)^def (\w+)\((.*?)\)[^\n]*:\n    """\n(.*?)"""'


def canonical(argument: dict[str, Any]) -> str:
    """An argument's type as selectors have it."""
    if argument["type"].startswith("tuple"):
        inner = ",".join(canonical(part) for part in argument["components"])
        return f"({inner}){argument['type'][5:]}"
    return argument["type"]


def shape(abi: list[dict[str, Any]], *, names: bool) -> set[str]:
    """What a caller or reader of an abi depends on."""

    def argument(part: dict[str, Any]) -> str:
        indexed = " indexed" if part.get("indexed") else ""
        inner = "".join(argument(p) for p in part.get("components", []))
        return f"{canonical(part)}{indexed} {part['name'] if names else ''}{inner};"

    found = set()
    for entry in abi:
        if entry["type"] in ("function", "event"):
            inputs = "".join(argument(part) for part in entry["inputs"])
            # Vyper does not name what a function returns: there, types count, and fields of structs.
            outputs = "".join(argument(part | {"name": ""}) for part in entry.get("outputs", []))
            state = entry.get("stateMutability", "")
            found.add(f"{entry['type']} {entry['name']}({inputs}) {state} -> {outputs}")
    return found


def test_the_solidity_interface_is_the_hubs_abi():
    assert shape(solidity()["IVagusHub"]["abi"], names=True) == shape(
        committed("hub")["abi"], names=True
    )


def test_both_consumers_offer_the_callback_that_the_interface_names():
    (callback,) = shape(solidity()["IVagusConsumer"]["abi"], names=True)
    assert callback in shape(committed("consumer")["abi"], names=True)
    assert callback in shape(committed("reverter")["abi"], names=True)


def test_the_solidity_consumer_does_what_the_vyper_one_does():
    vyper = shape(committed("consumer")["abi"], names=False)
    assert shape(solidity()["Consumer"]["abi"], names=False) == vyper


def test_no_source_is_longer_than_500_lines():
    for source in [*CONTRACTS.rglob("*.vy"), *CONTRACTS.rglob("*.vyi"), *CONTRACTS.rglob("*.sol")]:
        if "node_modules" not in source.parts:
            assert len(source.read_text().splitlines()) < 500, source
            assert "SPDX-License-Identifier: Apache-2.0" in source.read_text()[:200], source
