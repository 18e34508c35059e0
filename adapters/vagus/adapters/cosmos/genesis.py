"""The home folder of a development chain: a genesis with one validator and funded accounts.

`wasmd init` writes what is the node's own; keys and coins come from here, so that every chain of a
development machine has the same accounts.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from coincurve import PrivateKey
from google.protobuf.any_pb2 import Any as PackedAny
from nacl.signing import SigningKey

from vagus.adapters.cosmos.protos import (
    Coin,
    CommissionRates,
    Description,
    Ed25519PubKey,
    MsgCreateValidator,
)
from vagus.adapters.cosmos.tx import CosmosTx, packed
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.evm.devnet import DEV_KEYS
from vagus.protocol.bech32 import encode

__all__ = ["DENOM", "DEV_KEYS", "OTHER_DENOM", "PREFIX", "dev_wallet", "write_genesis"]

PREFIX = "wasm"
DENOM = "stake"
OTHER_DENOM = "other"

_COINS = 10**30
_BONDED = 10**9
_GENESIS_GAS = 200_000
# Known to everyone: it holds nothing of value on any chain.
_VALIDATOR = hashlib.sha256(b"the validator of a development chain of vagus").digest()


def dev_wallet(index: int) -> Wallet:
    """Return one of the ten funded accounts, of which everyone knows the keys."""
    return Wallet(PrivateKey.from_hex(DEV_KEYS[index].removeprefix("0x")))


async def write_genesis(home: Path, chain_id: str, timeouts: dict[str, str]) -> SigningKey:
    """Put accounts, coins and the validator into a fresh home; `timeouts` are of CometBFT's consensus.

    Returns the validator's consensus key.
    """
    document = msgspec.json.decode((home / "config/priv_validator_key.json").read_bytes())
    key = SigningKey(base64.b64decode(document["priv_key"]["value"])[:32])
    path = home / "config/genesis.json"
    genesis = msgspec.json.decode(path.read_bytes())
    operator = Wallet(PrivateKey(_VALIDATOR))
    state = genesis["app_state"]
    accounts = [operator, *(dev_wallet(index) for index in range(len(DEV_KEYS)))]
    addresses = [encode(PREFIX, wallet.address) for wallet in accounts]
    state["auth"]["accounts"] = [
        {
            "@type": "/cosmos.auth.v1beta1.BaseAccount",
            "address": address,
            "pub_key": None,
            "account_number": str(number),
            "sequence": "0",
        }
        for number, address in enumerate(addresses)
    ]
    # A coin that nobody takes as fee, beside the one that everybody does.
    coins = [{"denom": denom, "amount": str(_COINS)} for denom in (OTHER_DENOM, DENOM)]
    state["bank"]["balances"] = [{"address": each, "coins": coins} for each in addresses]
    state["bank"]["supply"] = [coin | {"amount": str(_COINS * len(addresses))} for coin in coins]
    # Nothing is minted: what an account has changes by its own transactions alone.
    state["mint"]["minter"]["inflation"] = "0.000000000000000000"
    rates = ("inflation_rate_change", "inflation_max", "inflation_min")
    state["mint"]["params"] |= dict.fromkeys(rates, "0.000000000000000000")
    state["genutil"] = {"gen_txs": [await _gentx(operator, bytes(key.verify_key), chain_id)]}
    path.write_bytes(msgspec.json.encode(genesis))
    config = home / "config/config.toml"
    text = config.read_text()
    for name, value in timeouts.items():
        text, found = re.subn(rf"(?m)^{name} = .*$", f'{name} = "{value}"', text)
        if found != 1:
            raise ValueError(f"{config} has {found} settings called {name}, and not one")
    config.write_text(text)
    return key


async def _gentx(operator: Wallet, consensus_key: bytes, chain_id: str) -> dict[str, Any]:
    """The transaction that makes the validator, in the SDK's JSON."""
    address = encode(f"{PREFIX}valoper", operator.address)
    rates = {"rate": "0.1", "max_rate": "0.2", "max_change_rate": "0.01"}
    message = MsgCreateValidator(
        description=Description(moniker="vagus"),
        # Decimals travel as integers of 18 places, and are written with a point in JSON.
        commission=CommissionRates(
            **{name: str(int(float(value) * 100) * 10**16) for name, value in rates.items()}
        ),
        min_self_delegation="1",
        validator_address=address,
        pubkey=PackedAny.FromString(packed(Ed25519PubKey(key=consensus_key))),
        value=Coin(denom=DENOM, amount=str(_BONDED)),
    )
    tx = CosmosTx(packed(message), 0, _GENESIS_GAS, 0, DENOM, 0)
    raw = await tx.sign(operator, chain_id, 0)
    signature = raw[-64:]
    return {
        "body": {
            "messages": [
                {
                    "@type": "/cosmos.staking.v1beta1.MsgCreateValidator",
                    "description": {"moniker": "vagus"},
                    "commission": {name: f"{value:0<20}" for name, value in rates.items()},
                    "min_self_delegation": "1",
                    "validator_address": address,
                    "pubkey": {
                        "@type": "/cosmos.crypto.ed25519.PubKey",
                        "key": base64.b64encode(consensus_key).decode(),
                    },
                    "value": {"denom": DENOM, "amount": str(_BONDED)},
                }
            ],
        },
        "auth_info": {
            "signer_infos": [
                {
                    "public_key": {
                        "@type": "/cosmos.crypto.secp256k1.PubKey",
                        "key": base64.b64encode(operator.public_key).decode(),
                    },
                    "mode_info": {"single": {"mode": "SIGN_MODE_DIRECT"}},
                    "sequence": "0",
                }
            ],
            "fee": {"amount": [], "gas_limit": str(_GENESIS_GAS)},
        },
        "signatures": [base64.b64encode(signature).decode()],
    }
