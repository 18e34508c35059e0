"""Addresses as people type them, against the libraries of each chain's own field."""

import pytest
from cosmpy.crypto.address import Address
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from vagus.protocol import Account, address_prefix, read_account, read_address

EVM = "eip155:31337"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
COSMOS = "cosmos:vagus-1"
SHORT = st.binary(min_size=20, max_size=20)

GOOD = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
HUB = "wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"
# The same bytes as other chains write them, as cosmpy says below.
OTHER = "cosmos14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s4hmalr"


@given(SHORT)
def test_an_evm_address_is_taken_in_one_case_and_with_its_checksum(raw: bytes) -> None:
    spelled = "0x" + raw.hex()
    for typed in (spelled, "0x" + raw.hex().upper(), to_checksum_address(spelled)):
        assert read_address(EVM, typed) == spelled


@given(SHORT, st.integers(0, 39))
def test_a_letter_of_the_wrong_case_is_refused(raw: bytes, at: int) -> None:
    good = to_checksum_address("0x" + raw.hex())[2:]
    typed = good[:at] + good[at].swapcase() + good[at + 1 :]
    if typed in (good, good.lower(), good.upper()):
        assert read_address(EVM, "0x" + typed) == "0x" + raw.hex()
    else:
        with pytest.raises(ValueError, match=r"mistyped: its checksum \(EIP-55\) does not fit"):
            read_address(EVM, "0x" + typed)


@given(SHORT, st.sampled_from(["wasm", "osmo", "cosmos"]), st.sampled_from(["wasm", "juno"]))
def test_a_cosmos_address_has_the_prefix_of_another_one_there(
    raw: bytes, prefix: str, there: str
) -> None:
    typed, alike = str(Address(raw, prefix)), str(Address(bytes(19) + b"\1", there))
    assert address_prefix(COSMOS, typed) == prefix
    assert read_address(COSMOS, typed) == typed
    if prefix == there:
        assert read_address(COSMOS, typed, alike) == typed
    else:
        with pytest.raises(ValueError, match=f"addresses of {COSMOS} begin with {there}1"):
            read_address(COSMOS, typed, alike)


@given(st.binary(min_size=32, max_size=32))
def test_a_solana_address_stays_as_it_is(raw: bytes) -> None:
    typed = str(Pubkey(raw))
    assert read_address(SOLANA, typed) == typed
    assert read_account(f"{SOLANA}:{typed}") == Account(SOLANA, typed)


@pytest.mark.parametrize(
    ("chain", "typed", "alike", "said"),
    [
        (COSMOS, GOOD, HUB, "is an EVM address, and cosmos:vagus-1 wants bech32 (wasm1…)"),
        (COSMOS, GOOD, "", "is an EVM address, and cosmos:vagus-1 wants bech32"),
        (COSMOS, "0x12", HUB, "is an EVM address"),
        (COSMOS, PROGRAM, HUB, f"'{PROGRAM}' is a Solana address"),
        (SOLANA, GOOD, "", f"is an EVM address, and {SOLANA} wants 32 bytes in base58"),
        (SOLANA, HUB, "", "is a Cosmos address"),
        (EVM, PROGRAM, "", f"'{PROGRAM}' is a Solana address, and {EVM} wants 0x and 40 hex"),
        (EVM, HUB, "", "is a Cosmos address"),
        (EVM, GOOD[:-1], "", "is not 0x and 40 hex digits"),
        (EVM, "hello", "", "'hello' is not 0x and 40"),
        (EVM, "", "", "is not 0x and 40"),
        (COSMOS, OTHER[:-1] + "q", HUB, "bech32 checksum does not fit"),
        (COSMOS, HUB.upper(), HUB, "bech32"),
        ("eip155:x", GOOD, "", "is not a reference"),
    ],
)
def test_what_is_no_address_there_is_said_in_words(
    chain: str, typed: str, alike: str, said: str
) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        read_address(chain, typed, alike)
    assert said in str(raised.value)


def test_the_same_bytes_under_another_prefix_are_of_another_chain() -> None:
    assert bytes(Address(HUB)) == bytes(Address(OTHER, "cosmos"))
    with pytest.raises(ValueError, match="begin with wasm1"):
        read_account(f"{COSMOS}:{OTHER}", HUB)


def test_an_account_is_read_into_its_one_spelling() -> None:
    assert str(read_account(f"{EVM}:{GOOD}")) == f"{EVM}:{GOOD.lower()}"
    for typed in ("", EVM[:6], GOOD, f"EIP155:1:{GOOD}"):
        with pytest.raises(ValueError, match="is not a CAIP"):
            read_account(typed)


def test_of_other_namespaces_the_adapter_knows_the_spelling() -> None:
    chain, typed = (
        "polkadot:b0a8d493285c2df73290dfb7e61f870f",
        "5hmuyxw9xdgbpptgypokw4thfyoe3ryenebr",
    )
    assert read_address(chain, typed) == typed
    assert address_prefix(chain, typed) == ""
