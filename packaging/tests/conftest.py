"""One bare Debian with the package installed, one devnet, for all of this folder."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from machine import Machine, bare_debian, booted

from support.client import Client, hurried_client_of
from support.node_devnet import Devnet, running_devnet
from vagus.daemon.fetch import model_path

BUILD = Path(__file__).parents[1] / "deb" / "build"
NEEDED = ("debootstrap", "unshare", "nsenter", "dpkg-deb")


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Have what builds and boots, or say loudly what was not tried."""
    if os.geteuid() != 0:
        pytest.skip("NOT TRIED: the package is installed and booted by root alone")
    if shutil.which("debootstrap") is None and shutil.which("apt-get"):
        subprocess.run(("apt-get", "update", "-qq"), check=True)
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap")
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    missing = [each for each in NEEDED if shutil.which(each) is None]
    if missing:
        pytest.skip(f"NOT TRIED without {', '.join(missing)}")


@pytest.fixture(scope="session")
def package(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from this checkout."""
    command = (str(BUILD), str(tmp_path_factory.mktemp("dist")))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def machine(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Machine]:
    """A booted one with the package installed."""
    async with _installed(package, tmp_path_factory.mktemp("machine") / "node") as machine:
        yield machine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gpu_machine(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Machine]:
    """Another one, of somebody who runs no node."""
    async with _installed(package, tmp_path_factory.mktemp("machine") / "gpu") as machine:
        yield machine


@contextlib.asynccontextmanager
async def _installed(package: Path, folder: Path) -> AsyncIterator[Machine]:
    base = await asyncio.to_thread(bare_debian)
    async with booted(base, folder) as machine:
        machine.put(package, "/root")
        machine.run("dpkg", "-i", f"/root/{package.name}")
        yield machine


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def devnet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    async with running_devnet(tmp_path_factory.mktemp("devnet") / "net") as net:
        yield net


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(devnet: Devnet) -> AsyncIterator[Client]:
    async with hurried_client_of(devnet.chains) as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def model_in_cache() -> None:
    """Have this machine's cache hold the model, which the tests copy."""
    model_path()
