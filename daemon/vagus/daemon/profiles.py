"""What a profile refuses to run with: rules as data, each with words that say what to change.

`devnet` takes everything but a public chain and an open data folder: its coins are worth nothing. `testnet` refuses what would be lost to the
first stranger: one endpoint that may lie, keys that everyone knows. `mainnet` refuses in addition
what one thief, one host or one upgrade could rob.

What the config shows is refused before a node starts (exit code 2, `vagus check`). What a hub's
state shows is refused once its chain has answered, before anything is signed for it (exit code 3).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from coincurve import PrivateKey

from vagus.adapters.evm.devnet import DEV_KEYS
from vagus.adapters.evm.keystore import SCRYPT_N
from vagus.daemon.credentials import CredentialError, located
from vagus.daemon.public_chains import PUBLIC
from vagus.protocol import VagusError, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vagus.adapters.base import ChainAdapter, HubState
    from vagus.daemon.config import Settings

__all__ = [
    "CONFIG_RULES",
    "HUB_RULES",
    "LEAST_ENDPOINTS",
    "PROFILES",
    "Hub",
    "Made",
    "ProfileError",
    "look",
    "open_folder",
    "refusals",
    "shared_hosts",
]

PROFILES = {
    "devnet": "coins worth nothing: takes well-known keys, one endpoint, any hub, no public chain",
    "testnet": "test coins: two endpoints a chain must agree, and keys are your own",
    "mainnet": "coins of value: three endpoints on different hosts of which two agree, full key "
    "encryption, a hub with a threshold of two or more that nobody can change",
}
LEAST_ENDPOINTS = {"devnet": 1, "testnet": 2, "mainnet": 3}

_DEVNET = frozenset({"devnet"})
_GUARDED = frozenset({"testnet", "mainnet"})
_MAINNET = frozenset({"mainnet"})


class ProfileError(VagusError):
    """A hub that the node's profile refuses; starting again would not help."""

    exit_code = 3


@dataclass(frozen=True)
class Made:
    """What a config makes: its settings, an adapter for each chain, the signer (20 bytes)."""

    settings: Settings
    adapters: Sequence[ChainAdapter]
    signer: bytes

    def keystores(self) -> list[tuple[str, Path]]:
        """Return each key file once, with the place in the config that names it first.

        Without those that systemd alone hands over, where it has not.
        """
        named: list[tuple[str, Path]] = []
        if self.settings.signer.keystore is not None:
            named += [("signer", self.settings.signer.keystore)]
        if self.settings.transport_key is not None:
            named += [("transport_key", self.settings.transport_key.keystore)]
        named += [
            (f"chains.{at}", table["keystore"])
            for at, table in enumerate(self.settings.chains)
            if table.get("keystore")
        ]
        found: dict[Path, str] = {}
        for where, path in named:
            with contextlib.suppress(CredentialError):
                found.setdefault(located(path), where)
        return [(where, path) for path, where in found.items()]

    def pin_files(self) -> list[Path]:
        """Return the files with the PINs of tokens; without those that systemd alone hands over."""
        signer = self.settings.signer.pkcs11
        named = [signer.pin_file] if signer is not None else []
        named += [
            table["pkcs11"]["pin_file"] for table in self.settings.chains if table.get("pkcs11")
        ]
        found: list[Path] = []
        for path in named:
            with contextlib.suppress(CredentialError):
                found.append(located(path))
        return found


@dataclass(frozen=True)
class Hub:
    """What a hub's chain shows at finality; `changeable` says who could change its code."""

    hub: str
    state: HubState
    changeable: str | None


@dataclass(frozen=True)
class ConfigRule:
    """A rule that the config alone decides; `breaks` has a line for each breach."""

    name: str
    profiles: frozenset[str]
    breaks: Callable[[Made], Iterable[str]]


@dataclass(frozen=True)
class HubRule:
    """A rule that a hub's state decides."""

    name: str
    profiles: frozenset[str]
    breaks: Callable[[Hub], Iterable[str]]


def refusals(made: Made) -> list[tuple[str, str]]:
    """Return (rule, words) for each breach of the profile's rules by a config."""
    profile = made.settings.profile
    return [
        (rule.name, words)
        for rule in CONFIG_RULES
        if profile in rule.profiles
        for words in rule.breaks(made)
    ]


async def look(profile: str, adapter: ChainAdapter) -> None:
    """Hold a chain's hub against the profile, at finality. Raises ProfileError, Retry, Halt."""
    rules = [rule for rule in HUB_RULES if profile in rule.profiles]
    if not rules:
        return
    hub = Hub(adapter.hub, await adapter.hub_state(), await adapter.upgradeable())
    for rule in rules:
        for words in rule.breaks(hub):
            raise ProfileError(f"profile {profile}: {words}")


# What the config alone decides


def _public_chains(made: Made) -> Iterator[str]:
    for adapter in made.adapters:
        if adapter.chain in PUBLIC:
            yield (
                f"{adapter.chain} is {PUBLIC[adapter.chain]}, a public chain, and a devnet takes keys that "
                f'everyone knows and the word of one endpoint: set profile = "testnet" in '
                f'{made.settings.file}, or "mainnet" where its coins have value'
            )


def _endpoints(made: Made) -> Iterator[str]:
    least = LEAST_ENDPOINTS[made.settings.profile]
    for adapter in made.adapters:
        agreeing, of = adapter.quorum
        if of < least:
            yield (
                f"{adapter.chain} has {of} endpoint{'s' * (of > 1)}: a lie of one would be signed; "
                f"give {least} or more, of different operators, as a list in rpc under [[chains]]"
            )
        elif agreeing < 2:
            yield f"{adapter.chain} believes one endpoint alone: set quorum = 2 or more"


def _hosts(made: Made) -> Iterator[str]:
    for table in made.settings.chains:
        if hosts := shared_hosts(table):
            yield (
                f"{table.get('id')} has several endpoints on {', '.join(hosts)}: who holds that host "
                "holds their votes; name endpoints of different operators"
            )


def _finality(made: Made) -> Iterator[str]:
    for table in made.settings.chains:
        finality = table.get("finality", "finalized")
        if finality != "finalized" and not table.get("finality_reason"):
            yield (
                f'{table.get("id")} takes finality = {finality!r}, which may be undone: set "finalized", '
                "or write down in finality_reason why less is enough on this chain"
            )


def _known_keys(made: Made) -> Iterator[str]:
    if made.signer in _known_addresses():
        yield f"the signer's key {_hex(made.signer)} is known to everyone: make one, `vagus keys new`"
    for adapter in made.adapters:
        if adapter.account[12:] in _known_addresses():
            yield (
                f"the account {_hex(adapter.account[12:])} of {adapter.chain} has a key that is known "
                "to everyone: make one, `vagus keys new`"
            )


def _encryption(made: Made) -> Iterator[str]:
    for where, path in made.keystores():
        if (fault := _weakness(path)) is not None:
            yield (
                f"{where}.keystore {path} {fault}: make new keys in a folder of their own, "
                "`vagus init FOLDER --profile mainnet`, and rotate to them"
            )


def _folders(made: Made) -> Iterator[str]:
    secrets = [path for _, path in made.keystores()] + made.pin_files()
    for folder in sorted({path.parent for path in secrets}):
        if (fault := open_folder(folder)) is not None:
            yield fault


def _data(made: Made) -> Iterator[str]:
    folder = made.settings.data
    if folder.is_dir() and (fault := open_folder(folder)) is not None:
        yield fault


def _http(made: Made) -> Iterator[str]:
    http = made.settings.http
    if http.tokens_file is None and not _is_loopback(http.host):
        yield (
            f"http.host {http.host} is reached from elsewhere and there are no tokens: listen on "
            "127.0.0.1, or make tokens, `vagus tokens new`, and name them in http.tokens_file"
        )


# What a hub's state decides


def _threshold(hub: Hub) -> Iterator[str]:
    current = hub.state.current
    if current.threshold < 2:
        yield (
            f"{hub.hub} takes one signature of {len(current.signers)}: who has that key has the hub; "
            "rotate to a set with a threshold of two or more, or use a hub that has one"
        )


def _unchangeable(hub: Hub) -> Iterator[str]:
    if hub.changeable is not None:
        yield f"{hub.hub} can be changed: {hub.changeable}; use a hub of `vagus hub deploy`"


CONFIG_RULES = (
    ConfigRule("public-chains", _DEVNET, _public_chains),
    ConfigRule("endpoints", _GUARDED, _endpoints),
    ConfigRule("hosts", _MAINNET, _hosts),
    ConfigRule("finality", _MAINNET, _finality),
    ConfigRule("known-keys", _GUARDED, _known_keys),
    ConfigRule("encryption", _MAINNET, _encryption),
    ConfigRule("folders", _GUARDED, _folders),
    ConfigRule("data", frozenset(PROFILES), _data),
    ConfigRule("http", _MAINNET, _http),
)
HUB_RULES = (
    HubRule("threshold", _MAINNET, _threshold),
    HubRule("unchangeable", _MAINNET, _unchangeable),
)


def shared_hosts(table: dict[str, Any]) -> list[str]:
    """Return the hosts on which a table of `[[chains]]` has more than one JSON-RPC endpoint."""
    urls = table.get("rpc", ())
    urls = urls if isinstance(urls, list | tuple) else (urls,)
    hosts = [urlsplit(str(url)).hostname for url in urls]
    return sorted({str(each) for each in hosts if hosts.count(each) > 1})


def open_folder(folder: Path) -> str | None:
    """Say what is wrong with a folder of secrets, or of a journal, and what mends it; None: nothing.

    It is for its owner alone. One that belongs to root, as systemd's credentials do, may be listed
    by others, and never written to.
    """
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    forbidden = 0o022 if found.st_uid == 0 and os.geteuid() != 0 else 0o077
    if mode & forbidden:
        return f"{folder} has mode {mode:04o}, so others can reach into it: run chmod 700 {folder}"
    return None


def _weakness(path: Path) -> str | None:
    """Say why a keystore is cheap to guess a password for; None where it is not."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        # The specification spells it in lower case; old wallets do not.
        crypto = document["crypto" if "crypto" in document else "Crypto"]
        kdf, parameters = crypto["kdf"], crypto["kdfparams"]
        cost = parameters["n"] * parameters["r"] if kdf == "scrypt" else 0
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return "is no encrypted keystore"
    if kdf != "scrypt":
        return f"is encrypted by {kdf} and not by scrypt"
    if cost < SCRYPT_N * 8:
        return f"is encrypted at a cost of {parameters['n']}, as for a devnet, and not {SCRYPT_N}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _known_addresses() -> frozenset[bytes]:
    return frozenset(address_of(PrivateKey(bytes.fromhex(key[2:]))) for key in DEV_KEYS)


def _hex(address: bytes) -> str:
    return f"0x{address.hex()}"
