"""The backend `edge` passes the kit: real model, `vagus worker` as a process, both brokers."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.edge import PATIENCE, edge_backend, new_key, request, until
from support.mosquitto import Mosquitto
from vagus.adapters.evm.keystore import create_keystore
from vagus.compute import Answer, Backend
from vagus.compute.backends.local import LocalBackend
from vagus.compute.conformance import BackendConformance
from vagus.compute.edge import calls, standing
from vagus.compute.edge.backend import EdgeBackend
from vagus.compute.mqtt import Broker
from vagus.protocol import Retry, address_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-compute"),
]

VAGUS = Path(sys.executable).parent / "vagus"
NODE = new_key()


@contextlib.asynccontextmanager
async def vagus_worker(
    folder: Path, url: str, model: LocalBackend, *, cheap_key: bool = False
) -> AsyncIterator[tuple[asyncio.subprocess.Process, bytes]]:
    """The command, in front of the llama.cpp server that the local backend runs; and its address."""
    endpoint = model._client._endpoint  # type: ignore[union-attr]
    key = folder / "api-key"
    key.write_text(endpoint.api_key or "")
    key.chmod(0o600)
    if cheap_key:
        (folder / "worker").mkdir(mode=0o700)
        (folder / "worker" / "password").write_text("password")
        (folder / "worker" / "password").chmod(0o600)
        create_keystore(folder / "worker" / "worker.json", "password", cost=1 << 12)
    log = (folder / "worker.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        str(VAGUS),
        "worker",
        f"--broker={url}",
        f"--serve={endpoint.base_url}",
        f"--node=0x{address_of(NODE).hex()}",
        "--model=name=HuggingFaceTB/SmolLM2,served_as=SmolLM2-135M-Instruct,context=2048",
        f"--folder={folder / 'worker'}",
        f"--api-key-file={key}",
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )
    log.close()
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            first = (await process.stdout.readline()).decode().split()
        assert first[0] == "worker"
        yield process, bytes.fromhex(first[1][2:])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def edge_of(
    folder: Path, url: str, model: LocalBackend, *, cheap_key: bool = True
) -> AsyncIterator[tuple[EdgeBackend, asyncio.subprocess.Process]]:
    async with (
        vagus_worker(folder, url, model, cheap_key=cheap_key) as (process, address),
        edge_backend(url, NODE, [address]) as backend,
    ):
        await until(backend._workers.models)
        yield backend, process


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_mosquitto(
    local_model: LocalBackend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeBackend]:
    folder = tmp_path_factory.mktemp("edge")
    async with Mosquitto(folder) as broker, edge_of(folder, broker.url, local_model) as (found, _):
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_the_embedded_broker(
    local_model: LocalBackend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeBackend]:
    folder = tmp_path_factory.mktemp("edge")
    async with Broker() as broker, edge_of(folder, broker.url, local_model) as (found, _):
        yield found


class TestEdge(BackendConformance):
    @pytest.fixture
    def backend(self, by_mosquitto: EdgeBackend) -> Backend:
        return by_mosquitto


class TestEdgeByTheEmbeddedBroker(BackendConformance):
    @pytest.fixture
    def backend(self, by_the_embedded_broker: EdgeBackend) -> Backend:
        return by_the_embedded_broker


async def test_a_worker_that_is_killed_amid_an_answer_costs_one_try(
    local_model: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        edge_of(tmp_path, broker.url, local_model, cheap_key=False) as (backend, process),
    ):
        (model,) = await backend.models()
        (worker,) = backend._workers.by_address.values()
        before = worker.offer
        stream = backend.stream(request(model, "Tell a long story.", 512), timeout=PATIENCE)
        await anext(stream)
        process.kill()
        with monkeypatch.context() as soon:
            soon.setattr(calls, "AGAIN", 0.1)
            soon.setattr(standing, "SILENT", 0.1)
            with pytest.raises(Retry, match="fell silent"):
                [each async for each in stream]
        # Its key was made for its owner alone. Started again, it is another one under it, and serves.
        made = tmp_path / "worker"
        modes = [each.stat().st_mode & 0o777 for each in (made, *sorted(made.iterdir()))]
        assert modes == [0o700, 0o600, 0o600]
        async with vagus_worker(tmp_path, broker.url, local_model) as (_, address):
            assert address == worker.address
            await until(lambda: before != worker.offer and worker.present)
            assert (await backend.complete(request(model), timeout=PATIENCE)).text


async def test_sigterm_lets_a_request_end(local_model: LocalBackend, tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        edge_of(tmp_path, broker.url, local_model) as (backend, process),
    ):
        (model,) = await backend.models()
        stream = backend.stream(request(model, "Tell a long story.", 48), timeout=PATIENCE)
        pieces = [await anext(stream)]
        process.send_signal(signal.SIGTERM)
        pieces += [each async for each in stream]
        assert isinstance(pieces[-1], Answer)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    assert "stopped" in (tmp_path / "worker.log").read_text()
