"""Which chains are served: found by entry point, loaded late, broken ones named."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from vagus.adapters import registry
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.registry import AdapterError, adapter_class, installed


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints(
        EntryPoint(name, target, registry.GROUP)
        for name, target in (
            ("eip155", "vagus.adapters.evm.adapter:EvmAdapter"),
            ("missing", "no.such.module:Adapter"),
            ("odd", "vagus.adapters.base:Block"),
            ("rival", "a:A"),
            ("rival", "b:B"),
        )
    )
    monkeypatch.setattr(registry, "entry_points", lambda group: found.select(group=group))


def test_the_evm_adapter_is_installed() -> None:
    assert adapter_class("eip155:31337") is EvmAdapter
    assert adapter_class("eip155") is EvmAdapter
    ours = next(one for one in installed() if one.namespace == "eip155")
    assert ours.fault == ""
    assert ours.distribution.startswith("vagus ")


@pytest.mark.usefixtures("plugins")
def test_a_broken_adapter_stops_no_other_and_is_listed_with_its_reason() -> None:
    faults = {one.target: one.fault for one in installed()}
    assert faults["vagus.adapters.evm.adapter:EvmAdapter"] == ""
    assert "ModuleNotFoundError: No module named 'no'" in faults["no.such.module:Adapter"]
    assert "is no ChainAdapter" in faults["vagus.adapters.base:Block"]
    assert adapter_class("eip155:1") is EvmAdapter


@pytest.mark.parametrize(
    "raised", ["SystemExit(3)", "GeneratorExit", "type('K', (KeyboardInterrupt,), {})"]
)
def test_an_adapter_that_ends_the_process_or_prints_is_an_adapter_that_is_broken(
    raised: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "vagus_test_ends.py").write_text(f"print('hello')\nraise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = EntryPoints([EntryPoint("ends", "vagus_test_ends:Adapter", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda group: entries.select(group=group))
    with pytest.raises(AdapterError, match="the adapter for 'ends' is broken"):
        adapter_class("ends:1")
    assert tuple(capsys.readouterr()) == ("", "hello\n")


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("missing:1", "the adapter for 'missing' is broken"),
        ("solana:x", "no adapter for 'solana' is installed .installed: eip155, missing"),
        ("rival:1", "several adapters for 'rival' are installed: a:A, b:B"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_why(chain: str, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        adapter_class(chain)


# Of a package that is None there is nothing to import, as if it was not installed.
WITHOUT = """
import sys
sys.modules[sys.argv[2]] = None
from vagus.adapters.registry import AdapterError, adapter_class, installed
assert adapter_class("eip155").__name__ == "EvmAdapter"
assert not any(one.fault for one in installed() if one.namespace != sys.argv[1])
try:
    adapter_class(sys.argv[1])
except AdapterError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("namespace", "package", "said"),
    [
        ("solana", "solders", "Solana needs more packages: pip install 'vagus[solana]'"),
        ("cosmos", "cosmpy", "Cosmos chains need more packages: pip install 'vagus[cosmos]'"),
    ],
)
def test_an_extra_that_is_not_installed_is_one_line_that_names_it(
    namespace: str, package: str, said: str
) -> None:
    command = [sys.executable, "-c", WITHOUT, namespace, package]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{said}\n"
