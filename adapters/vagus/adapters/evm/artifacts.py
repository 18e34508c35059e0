"""The builds of contracts that are package data, made by contracts/evm/build.py."""

from importlib import resources
from typing import Any

import msgspec

__all__ = ["artifact"]


def artifact(name: str) -> dict[str, Any]:
    """Read a build of the package: "hub", "consumer"; with `abi`, `bytecode` and `runtime`.

    `runtime` is what a deployed contract's code is: `size` bytes whose keccak256 is `hash`, then
    `immutables` bytes that its constructor wrote.
    """
    text = resources.files("vagus.adapters.evm").joinpath("abi", f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])
