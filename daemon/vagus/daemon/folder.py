"""A node's folder, as `vagus init` makes it: keys, and a commented vagus.toml beside them.

vagus.toml          the config; no secret is in it
keys/signer.json    the committee key, which signs attestations and receipts
keys/account.json   the account that pays for transactions on every chain
keys/password       opens both; mode 0600
data/               the journal, made by `vagus run`
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vagus.adapters.evm.keystore import (
    SCRYPT_N,
    create_keystore,
    load_keystore,
    read_password,
    write_secret,
)
from vagus.daemon.config import ConfigError, load
from vagus.daemon.roster import Member, Roster
from vagus.protocol import address_of, caip2

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DEVNET_SCRYPT_N",
    "ChainChoice",
    "NodeFolder",
    "make_keys",
    "sole_roster",
    "write_config",
]

# Opening takes milliseconds instead of a second: enough for keys that guard test coins.
DEVNET_SCRYPT_N = 1 << 12


@dataclass(frozen=True)
class ChainChoice:
    """A chain as `vagus init` asks for it: CAIP-2, the hub's CAIP-10, and the endpoints."""

    id: str
    hub: str
    rpc: str
    ws: str | None = None

    @classmethod
    def parse(cls, text: str) -> ChainChoice:
        """Read `id=…,hub=…,rpc=…[,ws=…]`. Raises ConfigError."""
        parts: dict[str, str] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            parts[key.strip()] = value.strip()
        unknown = sorted(parts.keys() - {"id", "hub", "rpc", "ws"})
        missing = sorted({"id", "hub", "rpc"} - parts.keys())
        if unknown or missing:
            raise ConfigError(
                [
                    f"--chain {text}: {'unknown' if unknown else 'missing'} "
                    f"{', '.join(unknown or missing)}; give id=…,hub=…,rpc=…[,ws=…]"
                ]
            )
        return cls(parts["id"], parts["hub"], parts["rpc"], parts.get("ws"))

    def __post_init__(self) -> None:
        try:
            caip2(self.id)
        except ValueError as error:
            raise ConfigError([f"chain {self.id}: {error}"]) from None


@dataclass(frozen=True)
class NodeFolder:
    """A folder with keys: `signer` and `account` are 20-byte addresses."""

    path: Path
    signer: bytes
    account: bytes


def make_keys(folder: Path, profile: str) -> NodeFolder:
    """Make the keys that are missing in a folder; those that are there stay."""
    keys = folder / "keys"
    password_file = keys / "password"
    cost = DEVNET_SCRYPT_N if profile == "devnet" else SCRYPT_N
    if not password_file.exists():
        write_secret(password_file, secrets.token_urlsafe(32).encode())
    password = read_password(password_file)
    addresses = []
    for name in ("signer", "account"):
        path = keys / f"{name}.json"
        if path.exists():
            addresses.append(address_of(load_keystore(path, password)))
        else:
            addresses.append(create_keystore(path, password, cost=cost))
    return NodeFolder(folder, *addresses)


def sole_roster(folder: NodeFolder, chains: Sequence[str]) -> Roster:
    """Return the roster of a committee of one, paid on each chain into its own account."""
    member = Member(
        signer=f"0x{folder.signer.hex()}",
        addresses={chain: f"0x{folder.account.hex()}" for chain in chains},
    )
    return Roster(members=(member,), gas_allowance=dict.fromkeys(chains, GAS_ALLOWANCE))


def write_config(
    folder: NodeFolder, profile: str, chains: Sequence[ChainChoice], port: int
) -> Path:
    """Write vagus.toml for a committee of one; ConfigError where there is one already."""
    path = folder.path / "vagus.toml"
    if path.exists():
        raise ConfigError([f"{path} exists: edit it, or remove it to begin again"])
    roster = sole_roster(folder, [chain.id for chain in chains])
    (member,) = roster.members
    text = _HEAD.format(profile=profile, port=port, signer=member.signer)
    for chain, address in member.addresses.items():
        text += f'addresses.{_quoted(chain)} = "{address}"\n'
    text += _ALLOWANCE
    for chain, amount in roster.gas_allowance.items():
        text += f'{_quoted(chain)} = "{amount}"\n'
    text += "".join(_chain(chain) for chain in chains)
    text += _TAIL
    # What the node would refuse is never left behind under the name that it reads.
    draft = path.with_name("vagus.toml.draft")
    draft.write_text(text)
    try:
        load(draft).adapters()
    except ConfigError as error:
        draft.unlink()
        raise ConfigError([line.replace(draft.name, path.name) for line in error.lines]) from None
    draft.chmod(0o600)  # an endpoint's URL may hold an API key
    draft.rename(path)
    return path


# What a delivery may cost, in wei of the origin's coin: 200,000 gas at 1 gwei.
GAS_ALLOWANCE = 200_000 * 10**9

_HEAD = """\
# A vagus node. Keys are files beside this one; nothing in here is secret.
# Any value can be set from outside: VAGUS_HTTP__PORT=9464.

profile = "{profile}"   # devnet, testnet or mainnet
data = "data"        # the journal; one node a folder

[http]
host = "127.0.0.1"   # /healthz /readyz /metrics /v1/intents /v1/evidence
port = {port}

[log]
level = "info"
format = "auto"      # JSON where stderr is no terminal

# The committee key. It signs answers and settlements, and holds no coins.
[signer]
keystore = "keys/signer.json"
password_file = "keys/password"

# Who signs, and where each member is paid and delivers from. All members have the same roster.
[[committee.members]]
signer = "{signer}"
"""


_ALLOWANCE = """
# By destination, what delivering there may cost, in the smallest unit of the origin's coin.
# A maxFee that does not cover it is refused.
[committee.gas_allowance]
"""


def _quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text)


def _chain(chain: ChainChoice) -> str:
    wake = f"ws = {_quoted(chain.ws)}   # only wakes the reader\n" if chain.ws else ""
    return f"""
[[chains]]
id = {_quoted(chain.id)}
hub = {_quoted(chain.hub)}
rpc = {_quoted(chain.rpc)}
{wake}finality = "finalized"   # or "safe", or a number of confirmations
keystore = "keys/account.json"
password_file = "keys/password"
"""


_TAIL = """
# Where models run. `local` is a small model on this machine's processor.
[[backends]]
kind = "local"

# Another: any OpenAI-compatible server.
# [[backends]]
# kind = "openai"
# name = "gpu"
# base_url = "http://127.0.0.1:8000/v1"
# api_key_file = "keys/gpu-api-key"
# models = [{ name = "llama-3.1-8b" }]

# Which agents answer, each with its own options.
[agents."chat@1"]
max_tokens = 64

# What this operator accepts; an empty policy accepts all that pays.
[policy]
min_fee = 0
"""
