"""The Solidity compiler, from npm, pinned by contracts/evm/package-lock.json and kept in the cache."""

import functools
import json
import subprocess
from typing import Any

from support.contracts import CONTRACTS
from support.npm import installed, node


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
    compiler = installed(CONTRACTS, "solc") / "solc" / "solc.js"
    command = [node(), str(compiler), "--standard-json"]
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
