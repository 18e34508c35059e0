"""Ids and addresses against the CAIPs' own examples and published vectors."""

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import (
    Account,
    agent_id,
    caip2,
    cosmos_chain,
    hub_id,
    pack_address,
    unpack_address,
)

BITCOIN = "bip122:000000000019d6689c085ae165831e93"
EVM = "eip155:31337"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
COSMOS = "cosmos:cosmoshub-3"
# The first contract of a wasmd chain, whose address is the same on every one of them.
CONTRACT = "wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"
CONTRACT_HEX = "ade4a5f5803a439835c636395a8d648dee57b2fc90d98dc17fa887159b69638b"
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_PROGRAM_HEX = "06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9"


@pytest.mark.parametrize(
    "text",
    [
        "eip155:1",
        "bip122:000000000019d6689c085ae165831e93",
        "bip122:12a765e31ffd4059bada1e25190f6e98",
        "bip122:fdbe99b90c90bae7505796461471d89a",
        "cosmos:cosmoshub-2",
        "cosmos:Binance-Chain-Tigris",
        "cosmos:iov-mainnet",
        "starknet:SN_GOERLI",
        "lip9:9ee11e9df416b18b",
        "chainstd:8c3444cf8970a9e41a706fab93e7a6c4",
        "cosmos:hashed-99df5cd68192b33e",
        SOLANA,
    ],
)
def test_caip2s_own_examples_are_chains(text: str) -> None:
    assert caip2(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eip155",
        "eip155:",
        ":1",
        "ei:1",
        "eip155eip1:1",
        "EIP155:1",
        "eip155:1:2",
        "eip155:1 ",
        "eip155:1\n",
        "eip155:01",
        "eip155:0",
        "eip155:0x1",
        "eip155:１",  # noqa: RUF001 - a full-width digit is what is tried
        "eip155:" + "1" * 33,
        "cosmos:under_score",
        "cosmos:hashed-",
        "cosmos:hashed-99DF5CD68192B33E",
        "cosmos:hashed-99df5cd68192b33e0",
        "solana:devnet",
        "solana:0eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "solana:" + "1" * 31,
    ],
)
def test_malformed_chains_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        caip2(text)


@pytest.mark.parametrize(
    ("chain_id", "expected"),
    [
        ("cosmoshub-3", "cosmos:cosmoshub-3"),
        ("Binance-Chain-Tigris", "cosmos:Binance-Chain-Tigris"),
        ("x", "cosmos:x"),
        ("hash-", "cosmos:hash-"),
        ("hashed", "cosmos:hashed"),
        ("hashed-", "cosmos:hashed-c904589232422def"),
        ("hashed-123", "cosmos:hashed-99df5cd68192b33e"),
        (
            "123456789012345678901234567890123456789012345678",
            "cosmos:hashed-0204c92a0388779d",
        ),
        (" ", "cosmos:hashed-36a9e7f1c95b82ff"),
        ("wonderland\U0001f9dd\u200d\u2642\ufe0f", "cosmos:hashed-843d2fc87f40eeb9"),
        ("a" * 32, "cosmos:" + "a" * 32),
    ],
)
def test_cosmos_chains_follow_caip5s_own_cases(chain_id: str, expected: str) -> None:
    assert cosmos_chain(chain_id) == expected
    assert caip2(expected) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_every_cosmos_chain_id_has_a_caip2_id(chain_id: str) -> None:
    assert caip2(cosmos_chain(chain_id)).startswith("cosmos:")


def test_an_empty_cosmos_chain_id_is_rejected() -> None:
    with pytest.raises(ValueError, match="not empty"):
        cosmos_chain("")


@pytest.mark.parametrize(
    "text",
    [
        f"{EVM}:0x5fbdb2315678afecb367f032d93f642f64180aa3",
        f"{SOLANA}:{TOKEN_PROGRAM}",
        f"cosmos:vagus-1:{CONTRACT}",
        "bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6",
        "polkadot:b0a8d493285c2df73290dfb7e61f870f:5hmuyxw9xdgbpptgypokw4thfyoe3ryenebr381z9iaegmfy",
    ],
)
def test_accounts_are_read_and_written_back(text: str) -> None:
    account = Account.parse(text)
    assert str(account) == text
    assert account == Account(account.chain, account.address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x5fbdb2315678afecb367f032d93f642f64180aa3",
        EVM,
        f"{EVM}:",
        f"{EVM}:0x5FbDB2315678afecb367f032d93F642f64180aa3",
        f"{EVM}:0X5fbdb2315678afecb367f032d93f642f64180aa3",
        f"{EVM}:5fbdb2315678afecb367f032d93f642f64180aa3",
        f"{EVM}:0x5fbdb2315678afecb367f032d93f642f64180a",
        f"{EVM}:0x5fbdb2315678afecb367f032d93f642f64180aa3\n",
        f"{SOLANA}:{TOKEN_PROGRAM}1",
        f"{SOLANA}:{'1' * 31}",
        f"{SOLANA}:{'1' * 128}",
        f"{SOLANA}:{'0' * 32}",
        f"cosmos:vagus-1:{CONTRACT.upper()}",
        f"cosmos:vagus-1:{CONTRACT[:-1]}q",
        "cosmos:vagus-1:a12uel5l",
        "lip9:9ee11e9df416b18b:white space",
        "lip9:9ee11e9df416b18b:" + "a" * 129,
    ],
)
def test_malformed_accounts_are_rejected_and_name_no_hub(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Account.parse(text)
    with pytest.raises(ValueError, match=r"\w"):
        hub_id(text)


def test_a_hub_id_is_the_keccak_of_the_hubs_account_id() -> None:
    text = f"{EVM}:0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert hub_id(text) == keccak(text.encode())


@pytest.mark.parametrize("name", ["chat@1", "price-feed@0", "a.b_c@12", "a" * 64 + "@1"])
def test_an_agent_id_is_the_keccak_of_name_and_major(name: str) -> None:
    assert agent_id(name) == keccak(name.encode())


@pytest.mark.parametrize(
    "name",
    [
        "",
        "chat",
        "chat@",
        "@1",
        "Chat@1",
        "chat@01",
        "chat@1.2",
        "chat@-1",
        "chat@1\n",
        "-a@1",
        "a" * 65 + "@1",
        "a b@1",
        "chat@1234567890",
        "chàt@1",
    ],
)
def test_a_malformed_agent_name_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="is not name@major"):
        agent_id(name)


@pytest.mark.parametrize(
    ("chain", "address", "word", "prefix"),
    [
        (EVM, "0x" + "00" * 20, "00" * 32, None),
        (EVM, "0x" + "ff" * 20, "00" * 12 + "ff" * 20, None),
        (SOLANA, "1" * 32, "00" * 32, None),
        (SOLANA, TOKEN_PROGRAM, TOKEN_PROGRAM_HEX, None),
        ("cosmos:vagus-1", CONTRACT, CONTRACT_HEX, "wasm"),
        (
            COSMOS,
            "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",  # BIP-173
            "00" * 12 + "00443214c74254b635cf84653a56d7c675be77df",
            "abcdef",
        ),
    ],
)
def test_known_addresses_pack_and_unpack(
    chain: str, address: str, word: str, prefix: str | None
) -> None:
    assert pack_address(chain, address).hex() == word
    assert unpack_address(chain, bytes.fromhex(word), prefix) == address


WORDS = st.binary(min_size=32, max_size=32) | st.binary(min_size=20, max_size=20).map(
    lambda short: bytes(12) + short
)


@given(WORDS, st.sampled_from([(SOLANA, None), (COSMOS, "cosmos"), ("cosmos:a", "x1y")]))
def test_every_word_is_an_address_of_solana_and_cosmos(
    word: bytes, chain: tuple[str, str | None]
) -> None:
    assert pack_address(chain[0], unpack_address(chain[0], word, chain[1])) == word


@given(WORDS)
def test_a_word_is_an_evm_address_if_and_only_if_twelve_zero_bytes_lead(word: bytes) -> None:
    if word[:12] == bytes(12):
        assert pack_address(EVM, unpack_address(EVM, word)) == word
    else:
        with pytest.raises(ValueError, match="12 zero bytes"):
            unpack_address(EVM, word)


def test_a_cosmos_address_has_20_bytes_or_32_that_do_not_look_like_20() -> None:
    with pytest.raises(ValueError, match="20 or 32 bytes, not 30"):  # BIP-173's longest word
        pack_address(COSMOS, "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w")
    with pytest.raises(ValueError, match="12 zero bytes"):
        pack_address(COSMOS, "cosmos1qqqqqqqqqqqqqqqqqqqqzqgpqyqszqgpqyqszqgpqyqszqgpqyqsu84k0y")


def test_a_cosmos_address_cannot_be_written_without_its_prefix() -> None:
    with pytest.raises(ValueError, match="bech32 prefix"):
        unpack_address(COSMOS, bytes(32))
    for prefix in ("", "Cosmos", "a b", "é", "x" * 52):
        with pytest.raises(ValueError, match="bech32"):
            unpack_address(COSMOS, b"\1" * 32, prefix)


@pytest.mark.parametrize("word", [b"", bytes(20), bytes(31), bytes(33)])
def test_only_a_word_of_32_bytes_is_unpacked(word: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        unpack_address(EVM, word)


@given(word=st.binary(min_size=32, max_size=32))
def test_an_address_of_another_namespace_is_written_as_its_word(word: bytes) -> None:
    assert unpack_address(BITCOIN, word) == f"0x{word.hex()}"
    assert pack_address(BITCOIN, f"0x{word.hex()}") == word


@pytest.mark.parametrize(
    "address",
    [
        "",
        "128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6",
        "ab" * 32,
        "0x" + "ab" * 20,
        "0x" + "ab" * 33,
        "0x" + "AB" * 32,
        "0x" + "ab" * 32 + "\n",
    ],
)
def test_no_other_spelling_of_another_namespace_is_packed(address: str) -> None:
    with pytest.raises(ValueError, match=r"64 lower-case hex digits, .* namespace bip122"):
        pack_address(BITCOIN, address)
