"""The `[[chains]]` table of a Solana chain, and the wallet."""

import copy
from pathlib import Path

import pytest
from pydantic import ValidationError
from solders.keypair import Keypair

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import create_keystore
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Account

CHAIN = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
HUB = f"{CHAIN}:GH48bkXoveANe66VJxjzp4Mqm8exbU5aV4yaphFb777c"
RIGHT = {"id": CHAIN, "hub": HUB, "rpc": "https://rpc.example/secret-key-of-mine"}


def test_one_endpoint_is_enough() -> None:
    config = SolanaConfig(**RIGHT)
    assert (config.agreeing, len(config.rpc)) == (1, 1)
    assert config.account == Account.parse(HUB)
    assert config.reference == "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "eip155:1"}, "must be a Solana chain"),
        ({"id": "solana:short"}, "not a reference of the namespace solana"),
        ({"hub": f"{CHAIN}:11"}, "not 32 bytes in base58"),
        ({"hub": HUB.replace("5eykt", "4eykt")}, "and the chain is"),
        ({"rpc": "ftp://x"}, "must be a URL"),
        ({"rpc": ["https://a", "https://a/"]}, "an endpoint twice"),
        ({"rpc": ["https://a", "https://b", "https://c"], "quorum": 1}, "it can be 2 to 3"),
        ({"keystore": "key.json"}, "go together"),
        ({"max_units": 2_000_000}, "less than or equal to 1400000"),
        ({"max_fee_per_gas": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        SolanaConfig(**(RIGHT | changes))
    assert "secret-key-of-mine" not in str(raised.value)


def test_a_wallet_opens_any_seed_and_shows_none(tmp_path: Path) -> None:
    from coincurve import PrivateKey

    seed = b"\x17" * 32
    create_keystore(tmp_path / "key.json", "password", PrivateKey(seed), cost=2)
    (tmp_path / "password").write_text("password\n")
    (tmp_path / "password").chmod(0o600)
    wallet = Wallet.load(tmp_path / "key.json", tmp_path / "password")
    assert wallet.account == bytes(Keypair.from_seed(seed).pubkey())
    assert repr(wallet) == f"<Wallet {wallet.key}>"
    assert seed.hex() not in repr(vars(type(wallet)))
    with pytest.raises(TypeError, match="never pickled"):
        copy.copy(wallet)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    create_keystore(tmp_path / "key.json", "password", cost=2)
    (tmp_path / "password").write_text("password\n")
    with pytest.raises(WalletError, match="chmod 600"):
        Wallet.load(tmp_path / "key.json", tmp_path / "password")
