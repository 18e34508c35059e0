"""The local model's process: started, watched, started again, never left behind."""

import asyncio
import hashlib
import importlib.metadata
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from eth_utils import keccak

from vagus.compute import Completion, Message, Model
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.compute.weights import weights_sha256
from vagus.daemon.fetch import model_path
from vagus.protocol import Refuse, Retry

PARENT = """
import asyncio, sys
from vagus.compute.backends.local import LocalBackend, LocalConfig
async def main():
    async with LocalBackend(LocalConfig(model_path=sys.argv[1])) as backend:
        print(backend.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def ended(pid: int, timeout: float = 20) -> bool:
    """Whether a process, ours or not, ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout)[0])
    finally:
        os.close(handle)


def servers() -> list[str]:
    """The model servers that this process has for children, a session's among them."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [c for c in children if b"local_server" in Path(f"/proc/{c}/cmdline").read_bytes()]


def asking(model: Model, text: str = "Name the capital of France.", tokens: int = 16) -> Completion:
    return Completion(model=model, messages=(Message("user", text),), max_tokens=tokens)


async def until_up(backend: LocalBackend, request: Completion) -> str:
    """Ask as the node does: again after each Retry."""
    async with asyncio.timeout(60):
        while True:
            try:
                return (await backend.complete(request, timeout=30)).text
            except Retry as error:
                await asyncio.sleep(min(error.after, 0.2))


async def test_a_killed_server_is_started_again_and_the_next_calls_succeed() -> None:
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        (model,) = await backend.models()
        before = (await backend.complete(asking(model), timeout=60)).text
        for _ in range(2):
            first = backend.pid
            assert first is not None
            story = asking(model, "Tell a long story.", 1024)
            call = asyncio.create_task(backend.complete(story, timeout=60))
            stream = backend.stream(story, timeout=60)
            await anext(stream)
            os.kill(first, signal.SIGKILL)
            with pytest.raises(Retry):
                await call
            with pytest.raises(Retry):
                async for _ in stream:
                    pass
            assert await until_up(backend, asking(model)) == before
            assert backend.pid != first
        last = backend.pid
    assert last is not None
    assert ended(last)
    with pytest.raises(Retry, match="down"):
        await backend.complete(asking(model), timeout=1)


async def test_the_server_dies_with_its_node_and_says_nothing_on_its_stdout() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model_path())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        lines = []
        while not (line := parent.stdout.readline()).strip().isdigit():
            assert line, "the parent ended"
            lines.append(line)
        pid = int(line)
        assert all("local model ready" in said for said in lines), "only the node's own log"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        assert not ended(pid, timeout=0.3), "signals to the group are the node's affair"
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"api_key" not in cmdline + environ
        parent.kill()
        assert ended(pid), "a killed node leaves no model server"


async def test_secrets_in_the_nodes_environment_are_not_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAGUS_CANARY", "canary-91c2")
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        assert b"canary-91c2" not in Path(f"/proc/{backend.pid}/environ").read_bytes()


async def fail_inside(pids: list[int]) -> None:
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        assert backend.pid is not None
        pids.append(backend.pid)
        raise Refuse("mine")


async def test_leaving_with_an_error_passes_it_on_as_it_is() -> None:
    pids: list[int] = []
    with pytest.raises(Refuse, match="mine"):
        await fail_inside(pids)
    assert ended(pids[0])


async def test_cancelling_the_start_leaves_nothing_running() -> None:
    before, running = asyncio.all_tasks(), servers()
    entering = asyncio.create_task(LocalBackend(LocalConfig(model_path=model_path())).__aenter__())
    for _ in range(20):
        await asyncio.sleep(0.01)
    entering.cancel()
    await asyncio.wait([entering])
    assert entering.cancelled()
    assert asyncio.all_tasks() == before
    assert servers() == running


async def test_a_start_that_takes_too_long_is_a_retry() -> None:
    with pytest.raises(Retry, match="did not answer within"):
        async with LocalBackend(LocalConfig(model_path=model_path(), start_timeout=0.05)):
            pass


async def test_weights_that_are_missing_or_broken_are_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    with pytest.raises(Refuse, match="no model_path"):
        await LocalBackend(LocalConfig()).__aenter__()
    with pytest.raises(Refuse, match="can't be read"):
        await LocalBackend(LocalConfig(model_path=tmp_path / "none.gguf")).__aenter__()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model_path().read_bytes()[:100_000])
    with pytest.raises(Refuse, match=r"can't be started.*exit code 1"):
        await LocalBackend(LocalConfig(model_path=broken)).__aenter__()


async def test_a_missing_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(Refuse, match=r"vagus\[local\]"):
        await LocalBackend(LocalConfig(model_path=model_path())).__aenter__()


async def test_its_digest_names_the_weights() -> None:
    sha256 = hashlib.sha256(model_path().read_bytes()).hexdigest()
    assert sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    parts = {
        "model": "SmolLM2-135M-Instruct",
        "quantization": "Q4_1",
        "revision": None,
        "weights": sha256,
    }
    expected = keccak(json.dumps(parts, separators=(",", ":")).encode())
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        (model,) = await backend.models()
        assert backend.engine.startswith("xllamacpp ")
    assert model.digest == expected


def test_a_weights_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"one")
    one = hashlib.sha256(b"one").hexdigest()
    assert weights_sha256(path) == weights_sha256(path) == one
    path.write_bytes(b"another")
    assert weights_sha256(path) == hashlib.sha256(b"another").hexdigest()
    path.with_name("weights.gguf.sha256.json").write_bytes(b"{")
    assert weights_sha256(path) == hashlib.sha256(b"another").hexdigest()


def test_a_weights_folder_that_cannot_be_written_to_costs_only_time(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"one")
    path.with_name("weights.gguf.sha256.json").mkdir()
    assert weights_sha256(path) == hashlib.sha256(b"one").hexdigest()
