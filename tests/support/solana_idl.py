"""A Solana program by its committed build and IDL alone."""

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support import borsh

__all__ = ["Program", "build", "idl"]

_FOLDER = files("vagus.adapters.solana").joinpath("idl")


def build(name: str) -> bytes:
    """A committed program: an ELF file."""
    return _FOLDER.joinpath(f"{name}.so").read_bytes()


def idl() -> dict[str, Any]:
    """The hub's committed IDL."""
    return json.loads(_FOLDER.joinpath("hub.json").read_text())


class Program:
    """A hub at an address."""

    def __init__(self, address: Pubkey) -> None:
        self.id = address
        self.idl = idl()
        self.types = {each["name"]: each["type"]["fields"] for each in self.idl["types"]}
        self.instructions = {each["name"]: each for each in self.idl["instructions"]}
        self.kinds = {each["name"]: each["discriminator"][0] for each in self.idl["accounts"]}
        self.names = {bytes(each["discriminator"]): each["name"] for each in self.idl["events"]}
        self.reasons = {each["code"]: each["msg"] for each in self.idl["errors"]}

    def address(self, *seeds: bytes) -> Pubkey:
        """A program derived address of the hub."""
        return Pubkey.find_program_address(list(seeds), self.id)[0]

    def arguments(self, name: str, values: dict[str, Any]) -> bytes:
        """What follows an instruction's byte."""
        wanted = self.instructions[name]["args"]
        assert {each["name"] for each in wanted} == set(values)
        return b"".join(
            borsh.encode(each["type"], values[each["name"]], self.types) for each in wanted
        )

    def call(
        self,
        name: str,
        accounts: dict[str, Pubkey],
        arguments: bytes = b"",
        more: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction. Optional accounts that are not given are the program's own id."""
        metas = []
        for each in self.instructions[name]["accounts"]:
            fixed = Pubkey.from_string(each["address"]) if "address" in each else None
            given = accounts.get(each["name"], fixed)
            optional = each.get("optional", False)
            assert given is not None or optional, each["name"]
            key = self.id if given is None else given
            metas.append(AccountMeta(key, each.get("signer", False), each.get("writable", False)))
        data = bytes(self.instructions[name]["discriminator"]) + arguments
        return Instruction(self.id, data, [*metas, *more])

    def record(self, name: str, data: bytes) -> dict[str, Any]:
        """An account's fields; `rest` is what follows those that the IDL knows."""
        assert data[0] == self.kinds[name], f"not a {name}"
        found, end = borsh.decode({"defined": {"name": name}}, data, 1, self.types)
        return found | {"rest": data[end:]}

    def events(self, logs: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        """The names and fields of the events in a transaction's logs, of the hub's own frames."""
        frames: list[str] = []
        found = []
        for line in logs:
            words = line.split(" ")
            if words[0] == "Program" and words[2:3] == ["invoke"]:
                frames.append(words[1])
            elif words[0] == "Program" and words[2:3] in (["success"], ["failed:"]):
                frames.pop()
            elif line.startswith("Program data: ") and frames[-1] == str(self.id):
                data = base64.b64decode(words[2])
                name = self.names[data[:8]]
                fields, end = borsh.decode({"defined": {"name": name}}, data, 8, self.types)
                assert end == len(data)
                found.append((name, fields))
        return found
