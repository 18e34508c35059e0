"""What a stranger installs: one wheel with five packages and all the data that they read."""

import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [str(Path(sys.executable).parent / "uv"), "build", "--wheel", "--no-build-isolation"]
    where = ["--python", sys.executable, "--offline", "-q", "-o", str(folder), str(ROOT)]
    subprocess.run([*build, *where], check=True, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_five_packages(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*/vagus/*"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    expected = {path.partition("/")[2] for path in tracked}
    assert expected
    assert expected <= set(wheel.namelist())


def test_the_wheel_holds_nothing_but_vagus_and_its_metadata(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"vagus"}


def test_each_package_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    for package in ("protocol", "adapters", "compute", "agents", "daemon"):
        assert f"vagus/{package}/py.typed" in wheel.namelist()


def test_the_license_travels_with_the_wheel(wheel: zipfile.ZipFile) -> None:
    (path,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    metadata = BytesParser().parsebytes(wheel.read(path))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
