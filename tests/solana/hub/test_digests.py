"""The program hashes as the vectors and as eth_account do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3

from support.hub import types
from support.hub_solana import SolanaHub, snake
from support.solana_idl import idl

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "digests.json").read_text())[
    "vectors"
]
KINDS = ["Intent", "Attestation", "Receipt", "Rotation"]


def view(hub: SolanaHub, kind: int, hub_id: bytes, message: bytes) -> bytes:
    """What the program's view answers."""
    values = {"kind": kind, "hub_id": hub_id, "message": message}
    call = hub.program.call("digest", {}, hub.program.arguments("digest", values))
    return hub.execute([call], hub.node).returned


def packed(hub: SolanaHub, kind: str, message: dict[str, Any]) -> bytes:
    """A message as the IDL has it."""
    from support import borsh

    fields = snake(message)
    return borsh.encode({"defined": {"name": kind}}, fields, hub.program.types)


def test_the_messages_of_the_idl_are_those_of_the_evm_hub():
    found = {each["name"]: each["type"]["fields"] for each in idl()["types"]}
    words = {"bytes32": {"array": ["u8", 32]}, "uint256": {"array": ["u8", 32]}, "uint64": "u64"}
    for kind, fields in types().items():
        names = [re.sub("[A-Z]", lambda m: "_" + m[0].lower(), f["name"]) for f in fields]
        wanted = [
            {"name": name, "type": words[field["type"]]}
            for name, field in zip(names, fields, strict=True)
        ]
        assert found[kind] == wanted


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']} {v['digest'][:10]}")
def test_vector(hub: SolanaHub, vector: dict[str, Any]):
    kind = vector["kind"]
    fields = {field["name"]: field["type"] for field in types()[kind]}
    message = {
        name: bytes.fromhex(value[2:]) if fields[name] == "bytes32" else int(value)
        for name, value in vector["message"].items()
    }
    hub_id = bytes.fromhex(vector["hubId"][2:])
    answer = view(hub, KINDS.index(kind), hub_id, packed(hub, kind, message))
    assert answer.hex() == vector["structHash" if kind == "Intent" else "digest"][2:]


@pytest.mark.parametrize("kind", KINDS)
def test_random_messages_hash_as_eth_account_hashes_them(hub: SolanaHub, kind: str):
    words = {
        "bytes32": st.binary(min_size=32, max_size=32),
        "uint64": st.integers(0, 2**64 - 1),
        "uint256": st.integers(0, 2**256 - 1),
    }
    messages = st.fixed_dictionaries({f["name"]: words[f["type"]] for f in types()[kind]})

    @settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(messages, st.binary(min_size=32, max_size=32))
    def compare(drawn: dict[str, Any], hub_id: bytes) -> None:
        signable = hub.signable(kind, drawn, hub_id)
        digest = Web3.keccak(b"\x19" + signable.version + signable.header + signable.body)
        wanted = bytes(signable.body) if kind == "Intent" else bytes(digest)
        assert view(hub, KINDS.index(kind), hub_id, packed(hub, kind, drawn)) == wanted

    compare()


@pytest.mark.parametrize("count", [0, 1, 14])
def test_payouts_hash_as_64_bytes_each(hub: SolanaHub, count: int):
    payouts = [(bytes(Web3.keccak(bytes([i]))), 2**200 + i) for i in range(count)]
    listed = b"".join(payee + amount.to_bytes(32) for payee, amount in payouts)
    message = count.to_bytes(4, "little") + listed
    assert view(hub, 4, bytes(32), message) == bytes(Web3.keccak(listed))


@pytest.mark.parametrize("count", [0, 1, 32])
def test_signers_hash_as_padded_addresses(hub: SolanaHub, count: int):
    addresses = [(i + 1).to_bytes(20) for i in range(count)]
    message = count.to_bytes(4, "little") + b"".join(addresses)
    wanted = Web3.keccak(b"".join(address.rjust(32, b"\0") for address in addresses))
    assert view(hub, 5, bytes(32), message) == bytes(wanted)
