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
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.adapters.evm.keystore import (
    SCRYPT_N,
    create_keystore,
    load_keystore,
    read_password,
    write_secret,
)
from vagus.daemon.config import ConfigError, adapter_of, load
from vagus.daemon.profiles import LEAST_ENDPOINTS, PROFILES
from vagus.daemon.roster import Member, Roster
from vagus.protocol import address_of

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
    rpc: tuple[str, ...]
    ws: str | None = None

    @classmethod
    def parse(cls, text: str) -> ChainChoice:
        """Read `id=…,hub=…,rpc=…[,rpc=…][,ws=…]`. Raises ConfigError, which shows no endpoint."""
        parts: dict[str, list[str]] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            parts.setdefault(key.strip(), []).append(value.strip())
        unknown = sorted(parts.keys() - {"id", "hub", "rpc", "ws"})
        missing = sorted({"id", "hub", "rpc"} - parts.keys())
        twice = sorted(key for key in parts.keys() - {"rpc"} if len(parts[key]) > 1)
        for word, keys in (("unknown", unknown), ("missing", missing), ("more than once", twice)):
            if keys:
                wanted = "give id=…,hub=…,rpc=…[,rpc=…][,ws=…]"
                shown = ", ".join(key if key.isidentifier() else "a part without =" for key in keys)
                raise ConfigError([f"--chain: {word}: {shown}; {wanted}"])
        return cls(parts["id"][0], parts["hub"][0], tuple(parts["rpc"]), parts.get("ws", [None])[0])

    def check(self, profile: str) -> None:
        """Raise ConfigError for what the chain's adapter, or the profile, would refuse."""
        where = f"chain {self.id}"
        adapter = adapter_of(self._table(), where)
        least, (_, given) = LEAST_ENDPOINTS[profile], adapter.quorum
        if given < least:
            raise ConfigError(
                [
                    f"{where}: profile {profile} wants {least} endpoints, of different operators: "
                    f"give rpc={'…,rpc='.join([''] * least)}… and not {given}"
                ]
            )

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = {"id": self.id, "hub": self.hub}
        table["rpc"] = self.rpc[0] if len(self.rpc) == 1 else list(self.rpc)
        return table | ({"ws": self.ws} if self.ws else {})

    def toml(self, profile: str) -> str:
        """Return the chain's table, as it is written to vagus.toml."""
        if len(self.rpc) == 1:
            rpc = f"rpc = {_quoted(self.rpc[0])}\n"
        else:
            agreeing = len(self.rpc) // 2 + 1
            lines = "".join(f"  {_quoted(each)},\n" for each in self.rpc)
            rpc = f"rpc = [\n{lines}]\n"
            rpc += (
                f"quorum = {agreeing}             # so many must agree before anything is signed\n"
            )
        wake = f"ws = {_quoted(self.ws)}   # only wakes the reader\n" if self.ws else ""
        finality = _FINALITY_MAINNET if profile == "mainnet" else _FINALITY
        return f"""
[[chains]]
id = {_quoted(self.id)}
hub = {_quoted(self.hub)}
{rpc}{wake}{finality}keystore = "keys/account.json"
password_file = "keys/password"
"""


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
    folder: NodeFolder,
    profile: str,
    chains: Sequence[ChainChoice],
    port: int,
    data: str = "data",
) -> Path:
    """Write vagus.toml for a committee of one; ConfigError where there is one already."""
    path = folder.path / "vagus.toml"
    if path.exists():
        raise ConfigError([f"{path} exists: edit it, or remove it to begin again"])
    roster = sole_roster(folder, [chain.id for chain in chains])
    (member,) = roster.members
    means = "\n".join(
        textwrap.wrap(PROFILES[profile], 98, initial_indent="# ", subsequent_indent="# ")
    )
    head = {"profile": profile, "means": means, "password": _PASSWORD[profile]}
    text = _HEAD.format(**head, port=port, data=_quoted(data), signer=member.signer)
    for chain, address in member.addresses.items():
        text += f'addresses.{_quoted(chain)} = "{address}"\n'
    text += _ALLOWANCE
    for chain, amount in roster.gas_allowance.items():
        text += f'{_quoted(chain)} = "{amount}"\n'
    text += "".join(chain.toml(profile) for chain in chains)
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
# A vagus node. Keys are files beside this one. An endpoint's URL may hold an API key: keep mode 0600.
# Any value can be set from outside: VAGUS_HTTP__PORT=9464.

{means}
profile = "{profile}"   # devnet, testnet or mainnet: docs/config.md has what each refuses
data = {data}        # the journal; one node a folder

[http]
host = "127.0.0.1"   # a page at /, and /readyz /metrics /v1/…: docs/http.md
port = {port}
# tokens_file = "tokens.json"   # `vagus tokens new` fills it: who may change something over HTTP

[log]
level = "info"
format = "auto"      # JSON where stderr is no terminal

# The committee key. It signs answers and settlements, and holds no coins.
[signer]
keystore = "keys/signer.json"
{password}password_file = "keys/password"

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


_FINALITY = 'finality = "finalized"   # or "safe", or a number of confirmations\n'
_FINALITY_MAINNET = """\
finality = "finalized"   # less is refused, unless finality_reason says why it is enough here
"""
_MOVE = """\
# Whoever copies this folder has keystore and password: move the password elsewhere (SECURITY.md).
"""
_PASSWORD = {"devnet": "", "testnet": "", "mainnet": _MOVE}


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

# Which agents answer, each with its own options. `vagus agents list` shows what is installed.
[agents."chat@1"]
max_tokens = 64
[agents."choose@1"]
[agents."number@1"]
[agents."extract@1"]

# What this operator accepts; an empty policy accepts all that pays.
[policy]
min_fee = 0
"""
