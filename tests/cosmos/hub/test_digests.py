"""The hub hashes as the vectors and as eth_account do."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3

from support.hub import members, types, word
from support.hub_cosmos import CosmosHub, json_of, new_hub
from support.wasmd import Chain

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "digests.json").read_text())[
    "vectors"
]
QUERIES = {
    "Intent": "intent_id",
    "Attestation": "attestation_digest",
    "Receipt": "receipt_digest",
    "Rotation": "rotation_digest",
}


@pytest.fixture(scope="module")
def views(chain: Chain) -> CosmosHub:
    """A hub that is only asked."""
    return new_hub(chain, members(1), 1, chain.accounts[1])


def hashed(hub: CosmosHub, kind: str, message: dict[str, Any], hub_id: bytes) -> str:
    """What the hub makes of a message: an intent's id, or the digest for a hub; hex."""
    question = {kind.lower(): message}
    if kind != "Intent":
        question["hub"] = hub_id
    return hub.chain.query(hub.address, {QUERIES[kind]: json_of(question)})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']} {v['digest'][:10]}")
def test_vector(views: CosmosHub, vector: dict[str, Any]):
    kinds = {field["name"]: field["type"] for field in types()[vector["kind"]]}
    assert list(kinds) == list(vector["message"])
    message = {
        name: bytes.fromhex(value[2:]) if kinds[name] == "bytes32" else int(value)
        for name, value in vector["message"].items()
    }
    expected = vector["structHash" if vector["kind"] == "Intent" else "digest"]
    hub_id = bytes.fromhex(vector["hubId"][2:])
    assert hashed(views, vector["kind"], message, hub_id) == expected[2:]


@pytest.mark.parametrize("kind", QUERIES)
def test_random_messages_hash_as_eth_account_hashes_them(views: CosmosHub, kind: str):
    words = {
        "bytes32": st.binary(min_size=32, max_size=32),
        "uint64": st.integers(0, 2**64 - 1),
        "uint256": st.integers(0, 2**256 - 1),
    }
    messages = st.fixed_dictionaries({f["name"]: words[f["type"]] for f in types()[kind]})

    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(messages, st.binary(min_size=32, max_size=32))
    def compare(drawn: dict[str, Any], hub_id: bytes) -> None:
        signable = views.signable(kind, drawn, hub_id)
        digest = Web3.keccak(b"\x19" + signable.version + signable.header + signable.body)
        expected = bytes(signable.body) if kind == "Intent" else bytes(digest)
        assert hashed(views, kind, drawn, hub_id) == expected.hex()

    compare()


@pytest.mark.parametrize("count", [0, 1, 34])
def test_payouts_hash_as_64_bytes_each(views: CosmosHub, count: int):
    payouts = [(Web3.keccak(bytes([i])), 2**200 + i) for i in range(count)]
    packed = Web3.solidity_keccak(
        ["bytes32", "uint256"] * count, [part for payout in payouts for part in payout]
    )
    listed = [{"payee": bytes(payee), "amount": amount} for payee, amount in payouts]
    question = {"payouts_hash": {"payouts": json_of(listed)}}
    assert views.chain.query(views.address, question) == packed.hex()


@pytest.mark.parametrize("count", [0, 1, 32])
def test_signers_hash_as_padded_addresses(views: CosmosHub, count: int):
    addresses = [f"{i + 1:040x}" for i in range(count)]
    packed = b"".join(word("0x" + address) for address in addresses)
    question = {"signers_hash": {"signers": addresses}}
    assert views.chain.query(views.address, question) == Web3.keccak(packed).hex()
