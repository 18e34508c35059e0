"""The Solidity compiler, from npm, pinned by contracts/evm/package-lock.json and kept in the cache."""

import fcntl
import functools
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support.contracts import CONTRACTS
from vagus.daemon.fetch import cache_dir, npm_command

PINNED = ("package.json", "package-lock.json", ".npmrc")


@functools.cache
def solidity() -> dict[str, Any]:
    """Every contract of the Solidity sources by name: its abi and bytecode."""
    sources = [*CONTRACTS.glob("interfaces/*.sol"), *CONTRACTS.glob("examples/*.sol")]
    job = {
        "language": "Solidity",
        "sources": {str(s.relative_to(CONTRACTS)): {"content": s.read_text()} for s in sources},
        "settings": {
            "evmVersion": "cancun",
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    compiler = _installed() / "node_modules" / "solc" / "solc.js"
    command = [_node(), str(compiler), "--standard-json"]
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, check=True
    )
    # A note about what this build of the compiler lacks may come before the document.
    output = json.loads(done.stdout[done.stdout.index("{") :])
    assert not output.get("errors"), output["errors"]  # a warning is an error here too
    return {
        name: {"abi": contract["abi"], "bytecode": contract["evm"]["bytecode"]["object"]}
        for contracts in output["contracts"].values()
        for name, contract in contracts.items()
    }


def _node() -> str:
    npm = npm_command()
    found = npm[0] if len(npm) > 1 else shutil.which("node")
    assert found
    return found


def _installed() -> Path:
    lock = (CONTRACTS / "package-lock.json").read_bytes()
    folder = cache_dir() / f"solc-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as guard:  # the tests' workers share the cache
        fcntl.flock(guard, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists():
            for name in PINNED:
                shutil.copy(CONTRACTS / name, folder)
            install = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(install, cwd=folder, capture_output=True, check=True)
            done.touch()
    return folder
