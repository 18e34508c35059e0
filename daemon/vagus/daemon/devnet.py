"""A devnet: chains with a hub each, and the folder of a node that serves those that are anvil's."""

from __future__ import annotations

import contextlib
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from vagus.adapters.base import HubParameters
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.keystore import create_keystore, read_password
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.choices import ChainChoice
from vagus.daemon.config import ConfigError
from vagus.daemon.devnet_config import renew_config
from vagus.daemon.fetch import anvil_path
from vagus.daemon.folder import DEVNET_SCRYPT_N, check_folder, make_keys, sole_roster
from vagus.daemon.http_client import node_url
from vagus.daemon.journal.lock import data_folder
from vagus.daemon.worlds import WORLDS, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

__all__ = ["CHAIN_IDS", "MIN_FEE", "MIN_TTL", "DevChain", "Devnet", "devnet"]

CHAIN_IDS = (31337, 31338)
MIN_FEE = 10**12
# Blocks come each second and the one two below is final: 60 s beyond that, as hubs demand.
MIN_TTL = 65
_FUNDS = 1000 * 10**18
_MARKER = "devnet"


@dataclass(frozen=True)
class DevChain:
    """One chain of a devnet, its hub, and a funded private key that everyone knows."""

    anvil: Anvil
    caip2: str
    hub: str
    private_key: str

    def show(self) -> dict[str, Any]:
        """Return the chain as `vagus devnet up --json` prints it."""
        return {
            "caip2": self.caip2,
            "rpc": self.anvil.rpc,
            "ws": self.anvil.ws,
            "hub": self.hub,
            "private_key": self.private_key,
        }


@dataclass(frozen=True)
class Devnet:
    """Running chains; the config of a node that serves them, its HTTP root, its packed account.

    `worlds` are chains beside them, which that node does not serve.
    """

    chains: tuple[DevChain, ...]
    config: Path
    http: str
    account: bytes
    worlds: tuple[World, ...] = ()


@contextlib.asynccontextmanager
async def devnet(
    folder: Path, say: Callable[[str], None], worlds: Sequence[str] = ()
) -> AsyncIterator[Devnet]:
    """Start two chains with hubs, and have a node's config lead to them; they end with the block.

    `worlds` are the kinds of other chains that are started beside them, by their namespaces.

    The folder is a devnet's own, closed to all but its user. Of an earlier devnet's, the keys and
    the config stay (`renew_config`); the journal is removed, since its chains and hubs are gone.
    Raises ConfigError for a folder with anything else in it, DataInUseError where a devnet, or a
    node of an earlier one, runs in it.
    """
    async with AsyncExitStack() as stack:
        _check(folder)
        running = f"`vagus devnet down --folder {folder}` ends it, --folder takes another place"
        stack.enter_context(data_folder(folder, f"a devnet runs there: {running}"))
        _mark(folder)
        # A node that an earlier devnet had may still run.
        with data_folder(folder / "data", "a node of an earlier devnet still runs: end it first"):
            shutil.rmtree(folder / "data")
        keys = make_keys(folder, "devnet")
        _make_user(folder)
        roster = sole_roster(keys, [f"eip155:{chain_id}" for chain_id in CHAIN_IDS])
        parameters = HubParameters(
            signers=(keys.signer,),
            threshold=1,
            min_fee=MIN_FEE,
            min_ttl=MIN_TTL,
            roster_hash=roster.digest(),
        )
        binary, chains = anvil_path(say), []
        for chain_id in CHAIN_IDS:
            say(f"Starting anvil, chain {chain_id}, and deploying a hub on it")
            anvil = await stack.enter_async_context(Anvil(binary, chain_id))
            await anvil.fund(keys.account, _FUNDS)
            deployer = Wallet(_key(DEV_KEYS[0]))
            hub = await deploy_hub(anvil.rpc, deployer, parameters)
            chains.append(DevChain(anvil, f"eip155:{chain_id}", hub.account, DEV_KEYS[1]))
        others = [await stack.enter_async_context(WORLDS[kind](parameters, say)) for kind in worlds]
        choices = [ChainChoice(c.caip2, c.hub, (c.anvil.rpc,), c.anvil.ws) for c in chains]
        settings = renew_config(keys, choices, say)
        if (settings.data / "journal.sqlite").exists():
            say(f"{settings.data} has a journal of chains that are gone: remove it before you run")
        account = keys.account.rjust(32, b"\0")
        path = (folder / "vagus.toml").resolve()
        yield Devnet(tuple(chains), path, node_url(settings), account, tuple(others))


def _check(folder: Path) -> None:
    check_folder(folder)
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise ConfigError([f"{folder} has other things in it: a devnet wants a folder of its own"])
    if (owner := folder.stat().st_uid) != os.geteuid():
        raise ConfigError(
            [f"{folder} belongs to user {owner}: a devnet wants a folder of its own, by --folder"]
        )


def _mark(folder: Path) -> None:
    """Make a folder a devnet's, and close it: keys are in it."""
    folder.chmod(0o700)
    (folder / _MARKER).touch(0o600)


def _make_user(folder: Path) -> None:
    """Put the funded key that asks into a keystore, where `vagus intent send` looks for it."""
    path = folder / "keys" / "user.json"
    if not path.exists():
        password = read_password(folder / "keys" / "password")
        create_keystore(path, password, _key(DEV_KEYS[1]), cost=DEVNET_SCRYPT_N)


def _key(text: str) -> PrivateKey:
    return PrivateKey(bytes.fromhex(text.removeprefix("0x")))
