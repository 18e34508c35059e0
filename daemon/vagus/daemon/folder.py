"""A node's folder, as `vagus init` makes it: keys, and a commented vagus.toml beside them.

vagus.toml          the config; no secret is in it
keys/signer.json    the committee key, which signs attestations and receipts
keys/transport.json the transport key, which signs what this member says to the others
keys/account.json   the account that pays for transactions on every chain (on Solana, its ed25519 seed)
keys/password       opens them all; mode 0600
data/               the journal, made by `vagus run`
"""

from __future__ import annotations

import os
import secrets
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from vagus.adapters.evm.keystore import (
    SCRYPT_N,
    create_keystore,
    load_keystore,
    read_password,
    write_secret,
)
from vagus.daemon.choices import quoted
from vagus.daemon.config import ConfigError, load
from vagus.daemon.profiles import PROFILES, Made, refusals
from vagus.daemon.roster import Member, Roster
from vagus.daemon.transport_key import TransportKey
from vagus.protocol import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vagus.daemon.choices import ChainChoice

__all__ = [
    "DEVNET_SCRYPT_N",
    "NodeFolder",
    "Shared",
    "check_folder",
    "make_keys",
    "roster_of",
    "sole_roster",
    "write_config",
]

# Opening takes milliseconds instead of a second: enough for keys that guard test coins.
DEVNET_SCRYPT_N = 1 << 12


@dataclass(frozen=True)
class NodeFolder:
    """A folder with keys: `signer`, `account` and `transport` are 20-byte addresses.

    `x25519` is the 32-byte public key that is derived from the transport key.
    """

    path: Path
    signer: bytes
    account: bytes
    transport: bytes
    x25519: bytes


@dataclass(frozen=True)
class Shared:
    """What the members of a committee have in common: the roster's file, and a broker's URL."""

    roster_file: Path
    broker: str

    def toml(self) -> str:
        """Return the tables of a member's config that lead there."""
        return _SHARED.format(broker=self.broker)


def check_folder(folder: Path) -> None:
    """Raise ConfigError for a folder that no node can be made in; makes nothing."""
    for wanted in (folder, folder / "keys"):
        whole = wanted.absolute()
        there = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
        if not there.is_dir():
            what = "a link to nothing" if there.is_symlink() else "a file"
            todo = "name another folder, or move that out of the way"
            raise ConfigError([f"{there} is {what}, and a node wants a folder there: {todo}"])
        if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            todo = f"name another folder, or let user {os.geteuid()} have it"
            raise ConfigError([f"{there} cannot be written: {todo}"])


def make_keys(folder: Path, profile: str) -> NodeFolder:
    """Make the keys that are missing in a folder; those that are there stay."""
    keys = folder / "keys"
    password_file = keys / "password"
    cost = DEVNET_SCRYPT_N if profile == "devnet" else SCRYPT_N
    if not password_file.exists():
        write_secret(password_file, secrets.token_urlsafe(32).encode())
    password = read_password(password_file)
    made = []
    for name in ("signer", "account", "transport"):
        path = keys / f"{name}.json"
        if path.exists():
            key = load_keystore(path, password)
        else:
            key = PrivateKey(secrets.token_bytes(32))
            create_keystore(path, password, key, cost)
        made.append(key)
    signer, account, transport = made
    x25519 = TransportKey(transport).x25519
    return NodeFolder(
        folder, address_of(signer), address_of(account), address_of(transport), x25519
    )


def sole_roster(folder: NodeFolder, addresses: Mapping[str, str]) -> Roster:
    """Return the roster of a committee of one, paid on each chain into its own account."""
    return roster_of([(folder, addresses)])


def roster_of(members: Sequence[tuple[NodeFolder, Mapping[str, str]]]) -> Roster:
    """Return the roster of some nodes, each paid on each chain into its own account."""
    kinds = {chain: chain.partition(":")[0] for chain in members[0][1]}
    return Roster(
        members=tuple(
            Member(
                signer=f"0x{folder.signer.hex()}",
                transport=f"0x{folder.transport.hex()}",
                x25519=f"0x{folder.x25519.hex()}",
                addresses=dict(addresses),
            )
            for folder, addresses in members
        ),
        gas_allowance={chain: ALLOWANCES.get(kind, ALLOWANCE) for chain, kind in kinds.items()},
        rates={chain: RATES[kind] for chain, kind in kinds.items() if kind in RATES},
    )


def write_config(
    folder: NodeFolder,
    profile: str,
    chains: Sequence[ChainChoice],
    port: int,
    data: str = "data",
    shared: Shared | None = None,
) -> Path:
    """Write vagus.toml for a committee of one, or for a member of what is `shared`.

    Raises ConfigError where there is one already, and for what a node of the profile would refuse.
    """
    path = folder.path / "vagus.toml"
    if path.exists():
        raise ConfigError([f"{path} exists: edit it, or remove it to begin again"])
    keys = folder.path / "keys"
    account = (keys / "account.json", keys / "password")
    addresses = {chain.id: chain.address(*account) for chain in chains}
    means = "\n".join(
        textwrap.wrap(PROFILES[profile], 98, initial_indent="# ", subsequent_indent="# ")
    )
    head = {"profile": profile, "means": means, "password": _PASSWORD[profile]}
    text = _HEAD.format(**head, port=port, data=quoted(data), roster=_roster_line(shared))
    text += shared.toml() if shared else _committee(sole_roster(folder, addresses))
    text += "".join(chain.toml(profile) for chain in chains)
    text += _TAIL
    # What the node would refuse is never left behind under the name that it reads.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        draft.touch(0o600, exist_ok=False)  # an endpoint's URL may hold an API key
        draft.write_text(text)
        settings = load(draft)
        refused = refusals(Made(settings, settings.adapters(), folder.signer))
        if refused:
            raise ConfigError([f"{draft}: profile {profile}: {words}" for _, words in refused])
        draft.rename(path)
    except ConfigError as error:
        raise ConfigError([line.replace(draft.name, path.name) for line in error.lines]) from None
    except OSError as error:
        fault = f"{path} cannot be written ({error.strerror})"
        raise ConfigError([f"{fault}: make room or mend the disk; the keys stay"]) from None
    finally:
        draft.unlink(missing_ok=True)
    return path


def _roster_line(shared: Shared | None) -> str:
    if shared is None:
        return ""
    return f"roster_file = {quoted(str(shared.roster_file))}   # the committee: all members have the same\n"


def _committee(roster: Roster) -> str:
    """Return the roster of one as tables of the config."""
    (member,) = roster.members
    text = _MEMBER
    for key in ("signer", "transport", "x25519"):
        text += f'{key} = "{getattr(member, key)}"\n'
    for chain, address in member.addresses.items():
        text += f'addresses.{quoted(chain)} = "{address}"\n'
    text += _ALLOWANCE
    for chain, amount in roster.gas_allowance.items():
        text += f'{quoted(chain)} = "{amount}"\n'
    text += _RATES if roster.rates else ""
    for chain, rate in roster.rates.items():
        text += f'{quoted(chain)} = "{rate}"\n'
    return text


# What a delivery may cost, in the committee's unit of account: 200,000 gas at 1 gwei; on Solana 2,060,160
# lamports of rent and two transactions; on Cosmos chains 200,000 gas at 0.025 of the smallest unit.
ALLOWANCE = 200_000 * 10**9
ALLOWANCES = {"solana": 2_100_000 * 10**9, "cosmos": 5_000 * 10**12}
# How many of a coin's smallest unit are worth 10^18 of that, as one wei is of an EVM chain's coin.
RATES = {"solana": 10**9, "cosmos": 10**6}

_HEAD = """\
# A vagus node. Keys are files beside this one. An endpoint's URL may hold an API key: keep mode 0600.
# Any value can be set from outside: VAGUS_HTTP__PORT=9464.

{means}
profile = "{profile}"   # devnet, testnet or mainnet: docs/config.md has what each refuses
data = {data}        # the journal; one node a folder
{roster}
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

# Signs what this member says to the others of a committee. A committee of one talks to nobody.
[transport_key]
keystore = "keys/transport.json"
password_file = "keys/password"
"""

_MEMBER = """
# Who signs, and where each member is paid and delivers from. All members have the same roster.
[[committee.members]]
"""

_SHARED = """
# A broker over which the members of the committee talk. It is not trusted: each message is signed.
[[transports]]
kind = "mqtt"
url = "{broker}"
"""

_ALLOWANCE = """
# By destination, what delivering there may cost, in the committee's unit of account: a wei on EVM chains.
# A maxFee that does not cover it is refused.
[committee.gas_allowance]
"""

_RATES = """
# How many of the smallest unit of a chain's coin are worth 10^18 of that: without a rate, 10^18 are.
# As it stands one coin is worth as much as another. Set what they cost.
[committee.rates]
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
# These two ask the internet: hosts that you name, and no others. All members name the same.
# [agents."fetch@1"]
# http = { hosts = ["api.example.org"] }
# [agents."page@1"]
# http = { hosts = ["www.example.org"] }

# What this operator accepts; an empty policy accepts all that pays.
[policy]
min_fee = 0
"""
