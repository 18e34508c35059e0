"""The builds of programs that are package data, made by contracts/solana/build.py."""

import functools
from importlib import resources

import msgspec

__all__ = ["program", "reasons"]


class _Reason(msgspec.Struct):
    code: int
    msg: str


class _Idl(msgspec.Struct):
    errors: list[_Reason]


def program(name: str) -> bytes:
    """Read a program's build: "hub", "consumer"."""
    return resources.files("vagus.adapters.solana").joinpath("idl", f"{name}.so").read_bytes()


@functools.cache
def reasons() -> dict[int, str]:
    """Return why the hub rejects, by the codes of its IDL: the words of all hubs."""
    text = resources.files("vagus.adapters.solana").joinpath("idl", "hub.json").read_bytes()
    return {each.code: each.msg for each in msgspec.json.decode(text, type=_Idl).errors}
