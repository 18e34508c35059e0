"""The published vectors, made with eth_account, hold to the byte."""

import json
import re
from pathlib import Path
from typing import Any

import coincurve
import pytest

import vagus.protocol
from vagus.protocol import address_of, hub_id, recover, sign

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "digests.json").read_text())
CASES = [pytest.param(v, id=f"{i}-{v['kind']}") for i, v in enumerate(VECTORS["vectors"])]


def unhex(text: str) -> bytes:
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def message_of(vector: dict[str, Any]) -> Any:
    fields = {
        re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name): (
            unhex(value) if value.startswith("0x") else int(value)
        )
        for name, value in vector["message"].items()
    }
    return getattr(vagus.protocol, vector["kind"])(**fields)


def test_the_vectors_cover_every_kind_of_message_on_hubs_of_three_namespaces() -> None:
    kinds = {v["kind"] for v in VECTORS["vectors"]}
    assert kinds == {"Intent", "Attestation", "Receipt", "Rotation"}
    assert {v["hub"].partition(":")[0] for v in VECTORS["vectors"]} == {
        "eip155",
        "solana",
        "cosmos",
    }


@pytest.mark.parametrize("vector", CASES)
def test_hub_id_struct_hash_and_digest_are_the_vectors(vector: dict[str, Any]) -> None:
    message = message_of(vector)
    assert hub_id(vector["hub"]) == unhex(vector["hubId"])
    assert message.struct_hash() == unhex(vector["structHash"])
    assert message.digest(unhex(vector["hubId"])) == unhex(vector["digest"])
    if vector["kind"] == "Intent":
        assert message.id == unhex(vector["structHash"])


@pytest.mark.parametrize("vector", CASES)
def test_signing_repeats_the_vectors_signature_and_recovers_its_signer(
    vector: dict[str, Any],
) -> None:
    digest = unhex(vector["digest"])
    key = coincurve.PrivateKey(unhex(vector["privateKey"]))
    assert sign(digest, key) == unhex(vector["signature"])
    assert address_of(key) == unhex(vector["signer"])
    assert recover(digest, unhex(vector["signature"])) == unhex(vector["signer"])


@pytest.mark.parametrize("vector", CASES)
def test_a_message_decodes_from_its_words(vector: dict[str, Any]) -> None:
    message = message_of(vector)
    assert type(message).decode(message.encode()) == message
