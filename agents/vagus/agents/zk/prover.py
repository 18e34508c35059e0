"""Proving and verifying by ezkl, in a child process: bounded in time, memory and number.

ezkl lives in an environment of its own, `make zk`: what it is built upon and what vagus is built upon
do not go together, and a fault in it is no fault of the node's.
"""

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from vagus.agents.zk import child
from vagus.agents.zk.circuit import Circuit, Files, keys_dir
from vagus.agents.zk.proven import MAX_NUMBER, MAX_NUMBERS, MAX_PROOF, Proven, read_felt
from vagus.compute.bounds import one_line
from vagus.compute.cache import cache_dir
from vagus.protocol import Refuse, Retry

__all__ = ["EZKL", "Prover", "environment", "version"]

log = structlog.get_logger("vagus.agents")

EZKL = "23.0.5"
"""The version that proofs and keys are of; requirements/zk.txt pins it."""

# Bytes and seconds; a proving key is made once, and takes as long as some proofs.
VERIFY_MEMORY, VERIFY_SECONDS = 2 << 30, 30.0
PROVE_MEMORY, PROVE_SECONDS = 8 << 30, 600.0
SETUP_SECONDS = 3_600.0
# Children of one circuit at once: each of them uses every core.
AT_ONCE = 2
_MAX_ANSWER = 1 << 20


class Prover:
    """Proves and verifies runs of one circuit."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self._room = asyncio.Semaphore(AT_ONCE)

    def require(self) -> None:
        """Refuse, in words, where this node can't do it; blocks while a proving key is made."""
        _ready(self.circuit)

    async def prove(self, inputs: Sequence[int], *, timeout: float) -> Proven:
        """Return a proven run; see `Proving`. Refuses numbers that the circuit does not take."""
        numbers = tuple(inputs)
        if len(numbers) > MAX_NUMBERS or any(abs(each) > MAX_NUMBER for each in numbers):
            raise Refuse(f"a circuit takes {MAX_NUMBERS} numbers at most, within 2^24 either way")
        files, key = await asyncio.to_thread(_ready, self.circuit)
        job = {"do": "prove", "pk": str(key), "inputs": numbers, **_named(files)}
        answer = await self._run(job, min(timeout, PROVE_SECONDS), PROVE_MEMORY)
        if "error" in answer:
            raise Refuse(f"the circuit has no run on these numbers: {one_line(answer['error'])}")
        try:
            found = tuple(read_felt(each) for each in answer["instances"])
            proof = Proven(numbers, found[len(numbers) :], bytes.fromhex(answer["proof"]))
        except (KeyError, TypeError, ValueError):
            raise Retry("ezkl's answer is not understood") from None
        if found[: len(numbers)] != numbers:
            raise Refuse("the circuit's inputs are not public, or it rounds them")
        if len(proof.outputs) > MAX_NUMBERS or len(proof.proof) > MAX_PROOF:
            raise Refuse("the circuit's proofs are larger than evidence may be")
        return proof

    async def verify(self, proof: Proven) -> bool:
        """Whether a proof holds; whatever it is, it raises Refuse and Retry alone."""
        if not proof.canonical:
            return False
        files, _ = await asyncio.to_thread(_ready, self.circuit)
        job = {"do": "verify", "snark": proof.snark(), **_named(files)}
        answer = await self._run(job, VERIFY_SECONDS, VERIFY_MEMORY)
        return answer.get("good") is True

    async def _run(self, job: dict[str, Any], timeout: float, memory: int) -> dict[str, Any]:
        """Return a child's answer. Raises Retry where it takes too long, or dies of it."""
        try:
            async with asyncio.timeout(timeout), self._room:
                return await _child(_limited(job, timeout, memory))
        except TimeoutError:
            raise Retry(f"ezkl did not {job['do']} in {timeout:.0f} s") from None


def environment() -> Path:
    """Return where ezkl's environment is, or would be."""
    return cache_dir() / "zk" / "env"


def version() -> str:
    """Return the environment's version of ezkl. Raises Refuse where that is none, or another."""
    found = _blocking({"do": "version"}, VERIFY_SECONDS, VERIFY_MEMORY).get("version")
    if found != EZKL:
        raise Refuse(f"mode zk needs ezkl {EZKL}, and {environment()} has {found}: run `make zk`")
    return EZKL


async def _child(job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *_command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_surroundings(folder),
            cwd=folder,
        )
        try:
            told, _ = await process.communicate(json.dumps(job).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _read(told, process.returncode)


@functools.cache
def _ready(circuit: Circuit) -> tuple[Files, Path]:
    """Return a circuit's files and its proving key, which is made once. Raises Refuse."""
    version()
    files = circuit.files()
    key = keys_dir() / circuit.vk
    if not key.exists():
        log.info("making a circuit's proving key (once)", vk=circuit.vk)
        with tempfile.TemporaryDirectory(dir=keys_dir(), prefix=".") as folder:
            scratch = Path(folder) / "pk"
            job = {"do": "setup", "pk": str(scratch), **_named(files)}
            made = _blocking(job, SETUP_SECONDS, PROVE_MEMORY)
            if made.get("vk") != circuit.vk:
                why = one_line(str(made.get("error", "it makes another key")))
                raise Refuse(f"the verification key {circuit.vk} is not of its circuit: {why}")
            scratch.replace(key)
    return files, key


def _blocking(job: dict[str, Any], timeout: float, memory: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(  # noqa: S603 - this module's own script
                _command(),
                input=json.dumps(_limited(job, timeout, memory)).encode(),
                capture_output=True,
                timeout=timeout,
                env=_surroundings(folder),
                cwd=folder,
                check=False,
            )
            return _read(done.stdout, done.returncode)
        except (subprocess.TimeoutExpired, Retry) as error:
            raise Refuse(f"ezkl's environment {environment()} does not work: {error}") from None


def _command() -> list[str]:
    python = environment() / "bin" / "python"
    if not python.exists():
        where = f"`make zk` makes it in {environment()}"
        raise Refuse(f"mode zk needs ezkl in an environment of its own: {where}, docs/modes.md#zk")
    # Isolated: nothing of this process's environment is looked for modules.
    return [str(python), "-I", str(Path(child.__file__))]


def _surroundings(folder: str) -> dict[str, str]:
    return {"HOME": folder, "PATH": os.defpath, "TMPDIR": folder}


def _limited(job: dict[str, Any], timeout: float, memory: int) -> dict[str, Any]:
    cpu = int(timeout) * (os.cpu_count() or 1) + 1
    return {**job, "memory": memory, "cpu": cpu}


def _named(files: Files) -> dict[str, str]:
    return {name: str(getattr(files, name)) for name in ("circuit", "settings", "vk", "srs")}


def _read(told: bytes, code: int | None) -> dict[str, Any]:
    """Return a child's answer. Raises Retry for one that ended without."""
    if code == 0 and len(told) <= _MAX_ANSWER:
        with contextlib.suppress(ValueError):
            answer: dict[str, Any] = json.loads(told)
            return answer
    raise Retry(f"ezkl's process ended with {code}, maybe for want of memory", 30.0)
