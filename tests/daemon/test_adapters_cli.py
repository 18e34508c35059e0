"""`vagus adapters`: a new skeleton says what it lacks and passes nothing, and what is installed is listed."""

import json
import os
import re
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from support.commands import VAGUS, run
from support.plugins import install
from vagus.adapters.base import ChainAdapter
from vagus.daemon.scaffold import new_adapter

vagus = partial(run, VAGUS, "adapters")
FILES = {
    "README.md",
    "pyproject.toml",
    "src/vagus_lumina/__init__.py",
    "src/vagus_lumina/adapter.py",
    "src/vagus_lumina/blocks.py",
    "src/vagus_lumina/config.py",
    "src/vagus_lumina/heads.py",
    "src/vagus_lumina/rpc.py",
    "src/vagus_lumina/wallet.py",
    "tests/harness.py",
    "tests/test_conformance.py",
}
# What a harness says that starts no node: the adapter is asked for what it has not got.
NO_NODE = """
    async def __aenter__(self) -> Self:
        self.node, self.finality, self.nobody = Urls("http://127.0.0.1:1"), 0, bytes(32)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
"""


@pytest.fixture(scope="module")
def lumina(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("adapters")
    made = vagus("new", "lumina", cwd=where)
    assert made.returncode == 0, made.stderr
    assert "vagus adapters test lumina" in made.stderr
    assert os.listdir(where) == ["lumina"]
    return where / "lumina"


def test_a_new_adapter_has_all_its_files_and_an_entry_point(lumina: Path) -> None:
    files = [path for path in lumina.rglob("*") if path.suffix in {".md", ".toml", ".py"}]
    assert {str(path.relative_to(lumina)) for path in files} == FILES
    project = tomllib.loads((lumina / "pyproject.toml").read_text())["project"]
    assert project["name"] == "vagus-lumina"
    entry = project["entry-points"]["vagus.adapters"]["lumina"]
    assert entry == "vagus_lumina.adapter:LuminaAdapter"


def test_what_is_written_is_typed_and_tidy(lumina: Path) -> None:
    for tool in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)):
        done = run(sys.executable, "-m", *tool, cwd=lumina)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_every_method_of_an_adapter_and_its_config_is_checked(lumina: Path) -> None:
    code = """
import json
from pydantic import ValidationError
from vagus_lumina.adapter import LuminaAdapter
table = {"id": "lumina:1", "hub": "lumina:1:hub", "rpc": "http://127.0.0.1:1/key-of-mine"}
made = LuminaAdapter(LuminaAdapter.Config(**table))
faults = []
for changed in ({"id": "eip155:1"}, {"hub": "lumina:2:hub"}, {"rpc": "key-of-mine"}, {"quorum": 2}):
    try:
        LuminaAdapter.Config(**(table | changed))
    except ValidationError as error:
        faults.append(str(error))
told = {key: getattr(made, key) for key in ("chain", "hub", "address", "lane", "quorum", "fee_bits")}
print(json.dumps({"told": told, "hub_id": made.hub_id.hex(), "faults": faults}))
"""
    done = run(sys.executable, "-c", code, cwd=lumina / "src")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["told"]["chain"] == "lumina:1"
    assert found["told"]["quorum"] == [1, 1]
    assert set(ChainAdapter.__annotations__) - {"Config"} <= {*found["told"], "hub_id", "account"}
    whys = ("of the namespace lumina", "hub is on lumina:2", "must be a URL", "it can be 1 to 1")
    for why, said in zip(whys, found["faults"], strict=True):
        assert why in said
        assert "key-of-mine" not in said


def test_each_test_of_the_kit_says_what_is_missing_and_none_passes(lumina: Path) -> None:
    tested = vagus("test", cwd=lumina, COLUMNS="400")
    assert tested.returncode == 1
    assert "lumina: FAILED" in tested.stderr
    lines = [line for line in tested.stdout.splitlines() if line.startswith(("ERROR ", "FAILED "))]
    assert all("not written yet: tests/harness.py, __aenter__" in line for line in lines)
    last = re.sub(r"[= ]*(.*) in .*", r"\1", tested.stdout.splitlines()[-1])
    assert last == f"{len(lines)} errors"
    assert len(lines) > 80
    assert f"{len(lines)}  not written yet: tests/harness.py, __aenter__" in tested.stdout
    assert "Traceback" not in tested.stdout


def test_with_a_harness_the_adapter_is_what_is_missing(tmp_path: Path) -> None:
    new_adapter("lumina", tmp_path / "lumina")
    harness = tmp_path / "lumina" / "tests" / "harness.py"
    text = harness.read_text()
    begin, end = text.index("    async def __aenter__"), text.index("    def adapter(")
    harness.write_text(text[:begin] + NO_NODE.lstrip("\n") + "\n" + text[end:])
    chosen = "test_the_heads_are or test_the_endpoints_are or test_heads_never"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", chosen]
    done = run(*command, cwd=tmp_path / "lumina", COLUMNS="400")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(lines) == 3
    assert all("not written yet: blocks.py, read_chain" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Lumina", "no namespace"),
        ("lu", "no namespace"),
        ("luminaries", "no namespace"),
        ("lu_mina", "no namespace"),
        ("1umina", "no namespace"),
        ("lumina-", "no namespace"),
        ("../lumi", "no namespace"),
        ("testnet", "no namespace"),
        ("eip155", "chains of eip155 are served by vagus"),
        ("solana", "chains of solana are served by vagus"),
    ],
)
def test_a_namespace_that_is_none_or_served_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        new_adapter(name, tmp_path / "folder")
    assert os.listdir(tmp_path) == []


def test_installed_adapters_are_listed_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    install(tmp_path / "site", "adapters", {"lumina": "nothing_that_is_there:A"})
    site = {"PYTHONPATH": str(tmp_path / "site")}
    shown = vagus("list", cwd=tmp_path, **site)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert ["eip155", "vagus"] in [line.split()[:2] for line in lines]
    (at,) = [at for at, line in enumerate(lines) if line.startswith("lumina ")]
    assert lines[at].split(maxsplit=3) == ["lumina", "plugin", "1.0", "cannot be used"]
    assert "No module named 'nothing_that_is_there'" in lines[at + 1]

    found = json.loads(vagus("list", "--json", cwd=tmp_path, **site).stdout)["adapters"]
    by_name = {each["namespace"]: each for each in found}
    assert by_name["solana"]["error"] is None
    assert by_name["solana"]["target"] == "vagus.adapters.solana.adapter:SolanaAdapter"
    assert "nothing_that_is_there" in by_name["lumina"]["error"]
