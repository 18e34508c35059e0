"""Build the EVM contracts into package data of the adapter, or check that what is committed fits.

    .venv/bin/python contracts/evm/build.py           writes adapters/vagus/adapters/evm/abi/*.json
    .venv/bin/python contracts/evm/build.py --check   rebuilds, compares, exits 1 where they differ

One JSON document a contract: {"contract", "compiler": {"version", "evm_version", "optimize"},
"sourceHash", "runtime": {"size", "hash", "immutables"}, "abi", "bytecode"}. `sourceHash` is Vyper's
integrity sum: the sha256 that covers the contract's source and every file that it imports. A
deployed contract's code is `size` bytes with the keccak256 `hash`, and behind them `immutables`
bytes that its constructor wrote. The same sources give the same bytes anywhere.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vyper
from vyper.cli.vyper_compile import compile_files
from vyper.utils import keccak256

ROOT = Path(__file__).resolve().parent
ABI = ROOT.parents[1] / "adapters" / "vagus" / "adapters" / "evm" / "abi"
# The sources repeat these in their pragmas: Vyper refuses a source that contradicts itself.
EVM_VERSION = "cancun"
OPTIMIZE = "gas"
CONTRACTS = {
    "hub.json": "Hub.vy",
    "consumer.json": "examples/Consumer.vy",
    "reverter.json": "examples/Reverter.vy",
    "market.json": "sandbox/GPURentalMarketplace.vy",
}
CODE_LIMIT = 24_576  # bytes of a deployed contract (EIP-170)


def build(source: str) -> str:
    """The JSON document of one contract, as it is committed."""
    path = ROOT / source
    formats = ["abi", "bytecode", "bytecode_runtime", "integrity", "layout"]
    (result,) = (
        output
        for name, output in compile_files([str(path)], formats, paths=[str(ROOT)]).items()
        if Path(str(name)).name == path.name
    )
    runtime = bytes.fromhex(result["bytecode_runtime"].removeprefix("0x"))
    immutables = sum(_sizes(result["layout"].get("code_layout", {})))
    if len(runtime) + immutables > CODE_LIMIT:
        size = len(runtime) + immutables
        raise SystemExit(f"{source}: {size} bytes of code, over the limit of {CODE_LIMIT}")
    document = {
        "contract": path.stem,
        "compiler": {
            "version": vyper.__version__,
            "evm_version": EVM_VERSION,
            "optimize": OPTIMIZE,
        },
        "sourceHash": "0x" + result["integrity"],
        "runtime": {
            "size": len(runtime),
            "hash": "0x" + keccak256(runtime).hex(),
            "immutables": immutables,
        },
        "abi": result["abi"],
        "bytecode": result["bytecode"],
    }
    return json.dumps(document, indent=1) + "\n"


def _sizes(layout: dict[str, Any]) -> Iterator[int]:
    """The sizes of all immutables of a contract and of the modules that it uses."""
    for entry in layout.values():
        if isinstance(entry.get("length"), int):
            yield entry["length"]
        else:
            yield from _sizes(entry)


def main() -> int:
    """Write or compare all documents; 1 if a committed one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = []
    for name, source in CONTRACTS.items():
        built = build(source)
        target = ABI / name
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(built)
            print(f"{target.relative_to(ROOT.parents[1])}: {len(built)} bytes")
        elif not target.is_file() or target.read_text() != built:
            stale.append(name)
    for name in stale:
        print(f"{name} differs from its source: run contracts/evm/build.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
