"""The hub hashes as the vectors and as eth_account do."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3

from support.hub import HubClient, types, word

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "digests.json").read_text())[
    "vectors"
]
VIEWS = {
    "Attestation": "attestationDigest",
    "Receipt": "receiptDigest",
    "Rotation": "rotationDigest",
}


def message(vector: dict[str, Any]) -> tuple[Any, ...]:
    """A vector's message as the abi takes it, in the order of the abi's fields."""
    fields = types()[vector["kind"]]
    assert [f["name"] for f in fields] == list(vector["message"])
    return tuple(
        bytes.fromhex(value[2:]) if field["type"] == "bytes32" else int(value)
        for field, value in zip(fields, vector["message"].values(), strict=True)
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']} {v['digest'][:10]}")
def test_vector(hub: HubClient, vector: dict[str, Any]):
    if vector["kind"] == "Intent":
        assert hub.view("intentId", message(vector)).hex() == vector["structHash"][2:]
        return
    digest = hub.view(VIEWS[vector["kind"]], bytes.fromhex(vector["hubId"][2:]), message(vector))
    assert digest.hex() == vector["digest"][2:]
    signer = Account._recover_hash(digest, signature=bytes.fromhex(vector["signature"][2:]))
    assert signer.lower() == vector["signer"]


@pytest.mark.parametrize("kind", ["Intent", *VIEWS])
def test_random_messages_hash_as_eth_account_hashes_them(first_hub: HubClient, kind: str):
    fields = types()[kind]
    words = {
        "bytes32": st.binary(min_size=32, max_size=32),
        "uint64": st.integers(0, 2**64 - 1),
        "uint256": st.integers(0, 2**256 - 1),
    }
    messages = st.fixed_dictionaries({f["name"]: words[f["type"]] for f in fields})

    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(messages, st.binary(min_size=32, max_size=32))
    def compare(drawn: dict[str, Any], hub: bytes) -> None:
        signable = first_hub.signable(kind, drawn, hub)
        values = tuple(drawn[field["name"]] for field in fields)
        if kind == "Intent":
            assert first_hub.view("intentId", values) == bytes(signable.body)
        else:
            digest = Web3.keccak(b"\x19" + signable.version + signable.header + signable.body)
            assert first_hub.view(VIEWS[kind], hub, values) == digest

    compare()


@pytest.mark.parametrize("count", [0, 1, 34])
def test_payouts_hash_as_64_bytes_each(hub: HubClient, count: int):
    payouts = [(Web3.keccak(bytes([i])), 2**200 + i) for i in range(count)]
    packed = Web3.solidity_keccak(
        ["bytes32", "uint256"] * count, [part for payout in payouts for part in payout]
    )
    assert hub.view("payoutsHash", payouts) == packed


@pytest.mark.parametrize("count", [0, 1, 32])
def test_signers_hash_as_padded_addresses(hub: HubClient, count: int):
    addresses = [Web3.to_checksum_address(f"0x{i + 1:040x}") for i in range(count)]
    packed = b"".join(word(address) for address in addresses)
    assert hub.view("signersHash", addresses) == Web3.keccak(packed)
