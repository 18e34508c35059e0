"""A devnet: chains with a hub each, and the folder of a node that serves them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from vagus.adapters.base import HubParameters
from vagus.adapters.evm.devnet import DEV_KEYS
from vagus.adapters.evm.keystore import create_keystore, load_keystore, read_password
from vagus.compute.mqtt.broker import Broker
from vagus.daemon.choices import ChainChoice
from vagus.daemon.config import ConfigError
from vagus.daemon.devnet_config import renew_config
from vagus.daemon.folder import (
    DEVNET_SCRYPT_N,
    NodeFolder,
    Shared,
    check_folder,
    make_keys,
    roster_of,
)
from vagus.daemon.http_client import node_url
from vagus.daemon.journal.lock import data_folder
from vagus.daemon.worlds import World, world_class

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

__all__ = ["DEFAULT", "MIN_TTL", "Devnet", "devnet"]

DEFAULT = ("eip155", "eip155")
"""The kinds of a devnet's chains where none are named."""
# The slowest is EVM: blocks come each second and the one two below is final. 60 s beyond that, as hubs demand.
MIN_TTL = 65
_MARKER = "devnet"


@dataclass(frozen=True)
class Devnet:
    """Running chains, and the nodes that serve them, the first of which is the folder's own.

    `configs` are the nodes' vagus.toml, `https` the roots of their HTTP, in the same order.
    """

    chains: tuple[World, ...]
    configs: tuple[Path, ...]
    https: tuple[str, ...]

    @property
    def config(self) -> Path:
        """The first node's vagus.toml."""
        return self.configs[0]

    @property
    def http(self) -> str:
        """The root of the first node's HTTP."""
        return self.https[0]


@contextlib.asynccontextmanager
async def devnet(
    folder: Path, say: Callable[[str], None], kinds: Sequence[str] = DEFAULT, nodes: int = 1
) -> AsyncIterator[Devnet]:
    """Start a chain with a hub for each kind, and have nodes' configs lead to them; they end with the block.

    Several nodes are a committee whose majority signs, over a broker that is started too. The first
    node is the folder's own, the others have folders in it: member-2 and so on.

    The folder is a devnet's own, closed to all but its user. Of an earlier devnet's, the keys and
    the config stay (`renew_config`); the journal is removed, since its chains and hubs are gone.
    Raises ConfigError for a folder with anything else in it and for kinds that can't be started,
    DataInUseError where a devnet, or a node of an earlier one, runs in it.
    """
    async with AsyncExitStack() as stack:
        _check(folder)
        running = f"`vagus devnet down --folder {folder}` ends it, --folder takes another place"
        stack.enter_context(data_folder(folder, f"a devnet runs there: {running}"))
        _mark(folder)
        places = [folder, *(folder / f"member-{at}" for at in range(2, nodes + 1))]
        keys = [_clear(place) for place in places]
        _make_user(folder)
        chains: list[World] = []
        for at, kind in enumerate(kinds):
            chain = world_class(kind)(say, list(kinds[:at]).count(kind))
            chains.append(await stack.enter_async_context(chain))
        addresses = [{c.caip2: c.address(_account(place)) for c in chains} for place in places]
        roster = roster_of(list(zip(keys, addresses, strict=True)))
        parameters = HubParameters(
            signers=roster.signers,
            threshold=nodes // 2 + 1,
            min_ttl=MIN_TTL,
            roster_hash=roster.digest(),
        )
        async with asyncio.TaskGroup() as group:
            for chain in chains:
                payers = [each[chain.caip2] for each in addresses]
                prepared = _prepare(chain, payers, parameters)
                group.create_task(prepared, name=f"prepare {chain.caip2}")
        shared = None
        if nodes > 1:
            (folder / "roster.json").write_bytes(roster.document())
            broker = await stack.enter_async_context(Broker())
            shared = Shared((folder / "roster.json").resolve(), broker.url)
        choices = [ChainChoice(c.caip2, c.hub, (c.rpc,), c.ws, c.more()) for c in chains]
        settings = [renew_config(each, choices, say, shared) for each in keys]
        for each in settings:
            if (each.data / "journal.sqlite").exists():
                say(f"{each.data} has a journal of chains that are gone: remove it before you run")
        configs = tuple((place / "vagus.toml").resolve() for place in places)
        yield Devnet(tuple(chains), configs, tuple(map(node_url, settings)))


def _clear(folder: Path) -> NodeFolder:
    """Make a node's folder, or take an earlier one's keys; its journal is of chains that are gone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    # A node that an earlier devnet had may still run.
    with data_folder(folder / "data", "a node of an earlier devnet still runs: end it first"):
        shutil.rmtree(folder / "data")
    return make_keys(folder, "devnet")


def _account(folder: Path) -> bytes:
    password = read_password(folder / "keys" / "password")
    secret: bytes = load_keystore(folder / "keys" / "account.json", password).secret
    return secret


async def _prepare(chain: World, accounts: Sequence[str], parameters: HubParameters) -> None:
    for account in accounts:
        await chain.fund(account)
    await chain.deploy(parameters)


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
        key = PrivateKey(bytes.fromhex(DEV_KEYS[1].removeprefix("0x")))
        create_keystore(path, password, key, cost=DEVNET_SCRYPT_N)
