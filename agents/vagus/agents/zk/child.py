"""What runs ezkl: a process of its own, in the environment that `make zk` makes.

It reads one job as JSON from its input and writes one JSON answer. It imports nothing of vagus, which
that environment has not, and holds itself to the memory and the time that the job allows: a proof is
a stranger's bytes, and a prover takes what it gets.
"""

import contextlib
import hashlib
import importlib
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    for limit, most in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, job["cpu"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    # The node's own loop goes first.
    os.nice(10)
    # ezkl prints as it goes: the answer is alone on its own descriptor.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory() as folder, answers:
        os.chdir(folder)
        json.dump(_answer(job), answers)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    # Looked up here: importing it under the limits is a part of the job.
    ezkl = importlib.import_module("ezkl")
    done = {"version": _version, "setup": _setup, "prove": _prove, "verify": _verify}
    try:
        return done[job["do"]](ezkl, job)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of Rust's is no Exception
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def _version(ezkl: Any, job: dict[str, Any]) -> dict[str, Any]:
    return {"version": ezkl.__version__}


def _setup(ezkl: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Make the proving key, and say which verification key belongs to it."""
    ezkl.setup(job["circuit"], "vk", job["pk"], srs_path=job["srs"])
    return {"vk": hashlib.sha256(Path("vk").read_bytes()).hexdigest()}


def _prove(ezkl: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Prove a run on whole numbers, each an input times its scale's power of two."""
    settings = json.loads(Path(job["settings"]).read_text())
    numbers, data = list(job["inputs"]), []
    for shape, scale in zip(settings["model_instance_shapes"], settings["model_input_scales"]):  # noqa: B905 - outputs' shapes follow
        size = 1
        for side in shape:
            size *= side
        data.append([number / 2**scale for number in numbers[:size]])
        if len(data[-1]) < size:
            return {"error": "it takes more numbers"}
        del numbers[:size]
    if numbers:
        return {"error": "it takes fewer numbers"}
    Path("input.json").write_text(json.dumps({"input_data": data}))
    ezkl.gen_witness("input.json", job["circuit"], "witness.json")
    ezkl.prove("witness.json", job["circuit"], job["pk"], "proof.json", srs_path=job["srs"])
    proof = json.loads(Path("proof.json").read_text())
    return {"instances": proof["instances"][0], "proof": bytes(proof["proof"]).hex()}


def _verify(ezkl: Any, job: dict[str, Any]) -> dict[str, Any]:
    Path("proof.json").write_text(json.dumps(job["snark"]))
    good = False
    # It raises for a proof that does not hold.
    with contextlib.suppress(RuntimeError):
        good = ezkl.verify("proof.json", job["settings"], job["vk"], srs_path=job["srs"])
    return {"good": good is True}


if __name__ == "__main__":
    main()
