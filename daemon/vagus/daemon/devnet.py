"""A devnet: chains with a hub each, and the folder of a node that serves those that are anvil's."""

from __future__ import annotations

import contextlib
import shutil
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from vagus.adapters.base import HubParameters
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.keystore import create_keystore, read_password
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.config import ConfigError
from vagus.daemon.fetch import anvil_path
from vagus.daemon.folder import DEVNET_SCRYPT_N, ChainChoice, make_keys, sole_roster, write_config
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
    """Start two chains with hubs and write a node's config for them; all of it ends with the block.

    `worlds` are the kinds of other chains that are started beside them, by their namespaces.

    The folder is a devnet's own: what an earlier one left in it, its config and journal, is removed,
    since chains and hubs are new each time. Raises ConfigError for a folder with anything else in
    it, DataInUseError where a devnet, or a node of an earlier one, runs in it.
    """
    async with AsyncExitStack() as stack:
        _check(folder)
        stack.enter_context(data_folder(folder))
        (folder / _MARKER).touch()
        with data_folder(folder / "data"):  # a node that an earlier devnet had may still run
            (folder / "vagus.toml").unlink(missing_ok=True)
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
        port = _free_port()
        config = write_config(keys, "devnet", choices, port)
        account = keys.account.rjust(32, b"\0")
        http = f"http://127.0.0.1:{port}"
        yield Devnet(tuple(chains), config.resolve(), http, account, tuple(others))


def _check(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise ConfigError([f"{folder} has other things in it: a devnet wants a folder of its own"])


def _make_user(folder: Path) -> None:
    """Put the funded key that asks into a keystore, where `vagus intent send` looks for it."""
    path = folder / "keys" / "user.json"
    if not path.exists():
        password = read_password(folder / "keys" / "password")
        create_keystore(path, password, _key(DEV_KEYS[1]), cost=DEVNET_SCRYPT_N)


def _key(text: str) -> PrivateKey:
    return PrivateKey(bytes.fromhex(text.removeprefix("0x")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
