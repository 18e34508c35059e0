"""`vagus backends`: a new backend passes its tests as it is written, and what is installed is listed."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vagus.daemon.scaffold import new_backend

VAGUS = Path(sys.executable).parent / "vagus"
FILES = {
    "README.md",
    "pyproject.toml",
    "src/vagus_campus_gpu/__init__.py",
    "src/vagus_campus_gpu/backend.py",
    "tests/test_vagus_campus_gpu.py",
}


def vagus(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [VAGUS, "backends", *map(str, arguments)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VAGUS_", "PYTEST_"))}
    return subprocess.run(
        command, cwd=cwd, env=kept | env, capture_output=True, text=True, check=False
    )


def test_a_new_backend_has_all_its_files_and_passes_its_own_tests(tmp_path: Path) -> None:
    made = vagus("new", "campus-gpu", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "campus-gpu"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == FILES
    assert "vagus backends test campus-gpu" in made.stderr
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["vagus.backends"]["campus-gpu"]
    assert entry == "vagus_campus_gpu:CampusGpuBackend"

    tested = vagus("test", "campus-gpu", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "15 passed" in tested.stdout
    assert "campus-gpu: passed" in tested.stderr

    source = folder / "src" / "vagus_campus_gpu" / "backend.py"
    source.write_text(source.read_text().replace("raise Barred(", "print("))
    tested = vagus("test", cwd=folder)
    assert tested.returncode == 1
    assert "test_it_refuses_a_model_it_does_not_serve" in tested.stdout
    assert "campus-gpu: FAILED" in tested.stderr


def test_tests_without_the_kit_are_no_pass(tmp_path: Path) -> None:
    new_backend("lazy", tmp_path / "lazy")
    (tests,) = (tmp_path / "lazy" / "tests").iterdir()
    tests.write_text("def test_nothing():\n    pass\n")
    tested = vagus("test", "lazy", cwd=tmp_path)
    assert tested.returncode == 1
    assert "BackendConformance" in tested.stderr + tested.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Campus", "no backend's name"),
        ("campus_gpu", "no backend's name"),
        ("../campus", "no backend's name"),
        ("a" * 33, "no backend's name"),
        ("openai", "a backend openai is installed, by vagus"),
        ("json", "take another, such as my-json"),
    ],
)
def test_a_name_that_is_none_or_taken_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        new_backend(name, tmp_path / "folder")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "campus").mkdir()
    refused = vagus("new", "campus", cwd=tmp_path)
    assert refused.returncode == 2
    assert "campus is there already" in refused.stderr
    assert os.listdir(tmp_path / "campus") == []


def test_installed_kinds_are_listed_and_a_broken_one_with_its_reason(tmp_path: Path) -> None:
    info = tmp_path / "vagus_broken-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vagus-broken\nVersion: 1.0.0\n")
    (info / "entry_points.txt").write_text("[vagus.backends]\nbroken = vagus_broken:Missing\n")
    listed = vagus("list", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert listed.returncode == 0, listed.stderr
    found = {each["kind"]: each for each in json.loads(listed.stdout)["backends"]}
    assert {"akashml", "ionet", "ionet-confidential", "local", "openai"} <= found.keys()
    assert found["openai"] == {
        "kind": "openai",
        "class": "OpenAIBackend",
        "distribution": f"vagus {found['local']['distribution'].split()[1]}",
        "error": None,
    }
    assert found["broken"]["distribution"] == "vagus-broken 1.0.0"
    assert "No module named 'vagus_broken'" in found["broken"]["error"]
    shown = vagus("list", cwd=tmp_path, PYTHONPATH=str(tmp_path)).stdout
    assert "broken               vagus-broken 1.0.0       cannot be used\n" in shown
