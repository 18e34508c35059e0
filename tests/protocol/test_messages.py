"""Messages are what eth_account makes of the same EIP-712 types, and hold only what fits."""

import dataclasses
import pickle
import random
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import Attestation, Intent, Receipt, Rotation, domain_separator, recover

Message = Intent | Attestation | Receipt | Rotation
# Written out from the protocol's text, not read from the code: (type, name) in order.
STRUCTS: dict[type[Message], str] = {
    Intent: "bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,bytes32 payloadHash,"
    "bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,bytes32 destHub,bytes32 callback,"
    "uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,uint64 deadline",
    Attestation: "bytes32 intentId,bytes32 originHub,uint64 status,bytes32 outputHash,"
    "bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,uint64 expiry",
    Receipt: "bytes32 intentId,bytes32 destHub,uint64 status,bytes32 payoutsHash,uint256 fee,"
    "uint64 epoch,uint64 expiry",
    Rotation: "uint64 epoch,bytes32 signersHash,uint64 threshold,uint64 validFrom,"
    "bytes32 rosterHash",
}
KINDS = list(STRUCTS)


def members(kind: type[Message]) -> list[tuple[str, str]]:
    return [(m.split()[0], m.split()[1]) for m in STRUCTS[kind].split(",")]


def random_value(rng: random.Random, solidity: str) -> Any:
    if solidity == "bytes32":
        return rng.choice([bytes(32), b"\xff" * 32, *[rng.randbytes(32)] * 6])
    bits = int(solidity.removeprefix("uint"))
    return rng.choice([0, 1, 2**bits - 1, rng.getrandbits(8), *[rng.getrandbits(bits)] * 4])


def random_values(rng: random.Random, kind: type[Message]) -> list[Any]:
    return [random_value(rng, solidity) for solidity, _ in members(kind)]


def typed_data(kind: type[Message], values: list[Any], hub: bytes) -> SignableMessage:
    return encode_typed_data(
        full_message={
            "domain": {"name": "vagus", "version": "1", "salt": hub},
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "salt", "type": "bytes32"},
                ],
                kind.__name__: [{"type": t, "name": n} for t, n in members(kind)],
            },
            "primaryType": kind.__name__,
            "message": {n: v for (_, n), v in zip(members(kind), values, strict=True)},
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_2500_random_messages_of_each_kind_hash_and_sign_as_eth_account_does(
    kind: type[Message],
) -> None:
    rng = random.Random(f"vagus {kind.__name__}")  # a str seeds by its hash function, not hash()
    accounts = [Account.from_key(rng.randbytes(32)) for _ in range(5)]
    hubs = [rng.randbytes(32) for _ in range(5)]
    for _ in range(2500):
        values, hub, account = random_values(rng, kind), rng.choice(hubs), rng.choice(accounts)
        message: Any = kind(*values)
        expected = typed_data(kind, values, hub)
        signed = account.sign_message(expected)
        assert domain_separator(hub) == expected.header
        assert message.struct_hash() == expected.body
        assert message.digest(hub) == signed.message_hash
        assert recover(signed.message_hash, bytes(signed.signature)).hex() == (
            account.address[2:].lower()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_the_abi_encoding_and_come_back(kind: type[Message]) -> None:
    rng = random.Random(7)
    for _ in range(200):
        values = random_values(rng, kind)
        message = kind(*values)
        assert message.encode() == abi_encode([t for t, _ in members(kind)], values)
        assert kind.decode(message.encode()) == message


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_the_structs_in_snake_case_and_in_its_order(kind: type[Message]) -> None:
    names = ["".join("_" + c.lower() if c.isupper() else c for c in n) for _, n in members(kind)]
    assert [field.name for field in dataclasses.fields(kind)] == names
    expected = f"{kind.__name__}({STRUCTS[kind]})"
    assert expected == kind.TYPE
    assert keccak(expected.encode()) == kind.TYPE_HASH


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_does_not_fit_is_a_value_error_that_names_it(kind: type[Message]) -> None:
    values = random_values(random.Random(1), kind)
    for at, (solidity, _) in enumerate(members(kind)):
        field = dataclasses.fields(kind)[at].name
        if solidity == "bytes32":
            wrong: list[Any] = [b"", bytes(31), bytes(33), bytearray(32), "0" * 32, 0, None]
        else:
            wrong = [-1, 2 ** int(solidity[4:]), True, False, 1.0, "1", bytes(32), None]
        for value in wrong:
            with pytest.raises(ValueError, match=rf"^{field} "):
                kind(*(values[:at] + [value] + values[at + 1 :]))  # noqa: RUF005 - one unpacking, which type checkers can follow


@pytest.mark.parametrize("kind", KINDS)
def test_messages_are_frozen_hashable_and_can_be_pickled(kind: type[Message]) -> None:
    values = random_values(random.Random(2), kind)
    message = kind(*values)
    field = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(message, field, values[0])
    assert {message: 1}[kind(*values)] == 1
    assert pickle.loads(pickle.dumps(message)) == message


@given(st.binary(max_size=1024))
def test_hostile_bytes_decode_to_themselves_or_a_value_error(data: bytes) -> None:
    for kind in KINDS:
        try:
            message = kind.decode(data)
        except ValueError:
            continue
        assert message.encode() == data


def test_a_number_over_its_type_is_not_decoded() -> None:
    words = bytearray(14 * 32)
    Intent.decode(bytes(words))
    words[32 + 23] = 1  # the bit above uint64 in the word of seq
    with pytest.raises(ValueError, match="seq is outside uint64"):
        Intent.decode(bytes(words))


@pytest.mark.parametrize("hub", [b"", bytes(31), bytes(33), "eip155:1:0x00"])
def test_a_digest_is_for_a_hub_id_of_32_bytes_only(hub: Any) -> None:
    with pytest.raises(ValueError, match=r"^hub_id "):
        Rotation(1, bytes(32), 1, 1, bytes(32)).digest(hub)


def test_one_message_has_another_digest_on_every_hub_and_no_hub_takes_another_kind() -> None:
    word = bytes(32)
    receipt = Receipt(word, word, 0, word, 0, 0, 0)
    attestation = Attestation(word, word, 0, word, word, word, word, 0, 0)
    digests = {m.digest(hub) for m in (receipt, attestation) for hub in (bytes(32), b"\1" * 32)}
    assert len(digests) == 4
