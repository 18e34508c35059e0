"""`vagus backends`: a new backend passes its tests as it is written, and what is installed is listed."""

import json
import os
import tomllib
from functools import partial
from pathlib import Path

import pytest

from support.commands import VAGUS, run
from support.plugins import install
from vagus.daemon.scaffold import new_backend

vagus = partial(run, VAGUS, "backends")
FILES = {
    "README.md",
    "pyproject.toml",
    "src/vagus_campus_gpu/__init__.py",
    "src/vagus_campus_gpu/backend.py",
    "tests/test_vagus_campus_gpu.py",
}


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
    tested = vagus("test", cwd=folder, PYTEST_ADDOPTS="-k refuses_a_model")
    assert tested.returncode == 1
    assert "test_it_refuses_a_model_it_does_not_serve" in tested.stdout
    assert "campus-gpu: FAILED" in tested.stderr


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


def test_installed_kinds_are_listed_and_a_broken_one_with_its_reason(tmp_path: Path) -> None:
    missing = {"broken": "vagus_broken:Missing"}
    install(tmp_path, "backends", missing, name="vagus-broken", version="1.0.0")
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
