"""A node's folder, as `vagus init` makes it: keys, and a commented vagus.toml beside them.

vagus.toml          the config; no secret is in it
keys/signer.json    the committee key, which signs attestations and receipts
keys/account.json   the account that pays for transactions on every chain
keys/password       opens both; mode 0600
data/               the journal, made by `vagus run`
"""

from __future__ import annotations

import os
import secrets
import textwrap
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
from vagus.daemon.choices import quoted
from vagus.daemon.config import ConfigError, load
from vagus.daemon.profiles import PROFILES, Made, refusals
from vagus.daemon.roster import Member, Roster
from vagus.protocol import address_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.choices import ChainChoice

__all__ = [
    "DEVNET_SCRYPT_N",
    "NodeFolder",
    "check_folder",
    "make_keys",
    "sole_roster",
    "write_config",
]

# Opening takes milliseconds instead of a second: enough for keys that guard test coins.
DEVNET_SCRYPT_N = 1 << 12


@dataclass(frozen=True)
class NodeFolder:
    """A folder with keys: `signer` and `account` are 20-byte addresses."""

    path: Path
    signer: bytes
    account: bytes


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
    """Write vagus.toml for a committee of one.

    Raises ConfigError where there is one already, and for what a node of the profile would refuse.
    """
    path = folder.path / "vagus.toml"
    if path.exists():
        raise ConfigError([f"{path} exists: edit it, or remove it to begin again"])
    roster = sole_roster(folder, [chain.id for chain in chains])
    (member,) = roster.members
    means = "\n".join(
        textwrap.wrap(PROFILES[profile], 98, initial_indent="# ", subsequent_indent="# ")
    )
    head = {"profile": profile, "means": means, "password": _PASSWORD[profile]}
    text = _HEAD.format(**head, port=port, data=quoted(data), signer=member.signer)
    for chain, address in member.addresses.items():
        text += f'addresses.{quoted(chain)} = "{address}"\n'
    text += _ALLOWANCE
    for chain, amount in roster.gas_allowance.items():
        text += f'{quoted(chain)} = "{amount}"\n'
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
