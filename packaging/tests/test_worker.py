"""A worker of the edge on a bare Debian of its own, where no node ever runs.

The tests follow docs/edge.md, and go on from each other in their order.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from machine import Machine

from support.edge import edge_backend, new_key, request
from support.mosquitto import Mosquitto
from support.openai_server import OpenAIServer, openai_server
from vagus.compute import Model
from vagus.protocol import address_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODE = new_key()
CONFIG, STATE = "/etc/vagus-worker", "/var/lib/vagus-worker"
# What the unit runs, by hand: as docs/edge.md has it.
BY_HAND = (
    *("systemd-run", "-q", "--pipe", "--wait", "-p", "User=vagus-worker"),
    *("-p", f"EnvironmentFile={CONFIG}/worker.env", "-E", f"VAGUS_WORKER_FOLDER={STATE}"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path_factory.mktemp("broker")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as found:
        yield found


def address(machine: Machine) -> bytes:
    """The worker's, as its keystore has it, which nobody else may read."""
    path = f"{STATE}/worker.json"
    assert machine.run("stat", "-c", "%a %U", path) == "600 vagus-worker\n"
    return bytes.fromhex(json.loads(machine.run("cat", path))["address"].removeprefix("0x"))


async def answers(machine: Machine, broker: Mosquitto) -> str:
    """What the worker answers to a node elsewhere."""
    async with edge_backend(broker.url, NODE, [address(machine)]) as backend:
        assert Model("repeater") in await backend.models()
        return (await backend.complete(request(Model("repeater")), timeout=60)).text


async def test_installing_makes_its_user_and_starts_nothing(gpu_machine: Machine) -> None:
    for path, mode in ((CONFIG, "750"), (STATE, "700")):
        owned = gpu_machine.run("stat", "-c", "%a %U %G", path)
        assert owned == f"{mode} vagus-worker vagus-worker\n"
    found = gpu_machine.unit("ActiveState", "UnitFileState", unit="vagus-worker")
    assert found == ["inactive", "disabled"]
    gpu_machine.run("systemctl", "start", "vagus-worker")
    found = gpu_machine.unit("ActiveState", "ConditionResult", unit="vagus-worker")
    assert found == ["inactive", "no"]
    assert gpu_machine.run("systemd-analyze", "verify", "vagus-worker.service") == ""


async def test_it_is_tried_by_hand_and_then_serves(
    gpu_machine: Machine, broker: Mosquitto, server: OpenAIServer
) -> None:
    options = (
        f"VAGUS_WORKER_BROKER={broker.url}\nVAGUS_WORKER_SERVE={server.base_url}\n"
        f"VAGUS_WORKER_NODE=0x{address_of(NODE).hex()}\n"
    )
    gpu_machine.run("tee", f"{CONFIG}/worker.env", stdin=options)
    said = await asyncio.to_thread(gpu_machine.run, *BY_HAND, "vagus", "worker", "--check")
    assert f"{broker.url} takes what this worker writes" in said
    await asyncio.to_thread(gpu_machine.run, "systemctl", "enable", "--now", "vagus-worker")
    await gpu_machine.is_unit("ActiveState", "active", unit="vagus-worker")
    # The key that --check has made: nodes need not be told another address.
    assert f"worker 0x{address(gpu_machine).hex()}\n" in said
    assert await answers(gpu_machine, broker) == "You said: Hello there"
    assert gpu_machine.unit("ActiveState") == ["inactive"]


async def test_it_runs_again_after_an_upgrade_and_no_node_does(
    gpu_machine: Machine, broker: Mosquitto, package: Path
) -> None:
    before = gpu_machine.unit("MainPID", unit="vagus-worker")
    await asyncio.to_thread(gpu_machine.run, "dpkg", "-i", f"/root/{package.name}")
    await gpu_machine.is_unit("ActiveState", "active", unit="vagus-worker")
    assert gpu_machine.unit("MainPID", unit="vagus-worker") != before
    assert gpu_machine.unit("ActiveState") == ["inactive"]
    assert await answers(gpu_machine, broker) == "You said: Hello there"


async def test_an_option_that_is_wrong_is_not_tried_again(gpu_machine: Machine) -> None:
    gpu_machine.run(
        "sed", "-i", "s/VAGUS_WORKER_NODE=0x/VAGUS_WORKER_NODE=0y/", f"{CONFIG}/worker.env"
    )
    gpu_machine.ended("systemctl", "restart", "vagus-worker")
    await gpu_machine.is_unit("ActiveState", "failed", unit="vagus-worker")
    found = gpu_machine.unit("ExecMainStatus", "NRestarts", unit="vagus-worker")
    assert found == ["2", "0"]
    gpu_machine.run("sed", "-i", "s/=0y/=0x/", f"{CONFIG}/worker.env")
    gpu_machine.run("systemctl", "restart", "vagus-worker")
    await gpu_machine.is_unit("ActiveState", "active", unit="vagus-worker")


async def test_it_is_stopped_by_its_removal_and_its_key_is_kept(gpu_machine: Machine) -> None:
    await asyncio.to_thread(gpu_machine.run, "dpkg", "-r", "vagus")
    found = gpu_machine.unit("ActiveState", "Result", unit="vagus-worker")
    assert found == ["inactive", "success"]
    said = gpu_machine.run("dpkg", "-P", "vagus")
    for kept in (CONFIG, STATE):
        assert f"vagus: kept {kept}, which may hold keys" in said
    assert "kept /etc/vagus," not in said
    gpu_machine.run("test", "-f", f"{STATE}/worker.json")
