"""The example's circuit, built once with a reference string that is good for tests alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.iris import Built, built_in
from vagus.agents.zk.prover import environment
from vagus.compute.cache import cache_dir


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache in which the circuits are these tests' own, and all else is the user's."""
    real = environment()
    if not (real / "bin" / "python").exists():
        pytest.fail(f"ezkl's environment is not there: `make zk` makes it in {real}")
    folder = tmp_path_factory.mktemp("cache")
    (folder / "vagus" / "zk").mkdir(parents=True)
    (folder / "vagus" / "zk" / "env").symlink_to(real)
    for each in cache_dir().iterdir():
        if each.name != "zk":
            (folder / "vagus" / each.name).symlink_to(each)
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def built(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built_in(tmp_path_factory.mktemp("iris") / "one", environment() / "bin" / "python")


@pytest.fixture(scope="session")
def another(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The same network with another reference string, so with other keys."""
    return built_in(tmp_path_factory.mktemp("iris") / "two", environment() / "bin" / "python")
