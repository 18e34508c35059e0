"""`vagus adapters`: a new skeleton says what it lacks and passes nothing, and what is installed is listed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vagus.adapters.base import ChainAdapter
from vagus.daemon.scaffold import new_adapter

VAGUS = Path(sys.executable).parent / "vagus"
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


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VAGUS_", "PYTEST_"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=kept | env,
        capture_output=True,
        text=True,
        check=False,
    )


def vagus(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run(VAGUS, "adapters", *arguments, cwd=cwd, **env)


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


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lumina").mkdir()
    refused = vagus("new", "lumina", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "vagus: lumina is there already: take another folder, or remove it\n"
    assert os.listdir(tmp_path / "lumina") == []


def test_a_folder_without_an_adapter_is_not_tested(tmp_path: Path) -> None:
    missing = vagus("test", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "`vagus adapters new` writes one" in missing.stderr
    (tmp_path / "pyproject.toml").write_text('[project.entry-points."vagus.agents"]\nx = "x:X"\n')
    nameless = vagus("test", cwd=tmp_path)
    assert (nameless.returncode, nameless.stdout) == (2, "")
    assert "names no adapter" in nameless.stderr


def test_tests_without_the_kit_are_no_pass(tmp_path: Path) -> None:
    new_adapter("lumina", tmp_path / "lumina")
    tests = tmp_path / "lumina" / "tests" / "test_conformance.py"
    tests.write_text("def test_nothing():\n    pass\n")
    tested = vagus("test", "lumina", cwd=tmp_path)
    assert tested.returncode == 1
    assert "AdapterConformance" in tested.stderr + tested.stdout


def test_installed_adapters_are_listed_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    info = tmp_path / "site" / "plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vagus.adapters]\nlumina = nothing_that_is_there:A\n")
    site = {"PYTHONPATH": str(info.parent)}
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
