"""The chains that `vagus init` is told of: read, held against the profile, and written to the config.

What an adapter or the profile would refuse is refused here, before a key is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vagus.daemon.config import ConfigError, adapter_of
from vagus.daemon.profiles import LEAST_ENDPOINTS, shared_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ChainChoice", "check_chains", "quoted"]

# Names of large chains that anyone can reach, by CAIP-2: a devnet's keys would be robbed there.
PUBLIC = {
    "eip155:1": "Ethereum",
    "eip155:10": "OP Mainnet",
    "eip155:56": "BNB Smart Chain",
    "eip155:97": "BNB Smart Chain's testnet",
    "eip155:100": "Gnosis",
    "eip155:130": "Unichain",
    "eip155:137": "Polygon",
    "eip155:146": "Sonic",
    "eip155:324": "ZKsync Era",
    "eip155:480": "World Chain",
    "eip155:5000": "Mantle",
    "eip155:8453": "Base",
    "eip155:10200": "Chiado",
    "eip155:17000": "Holesky",
    "eip155:42161": "Arbitrum One",
    "eip155:42220": "Celo",
    "eip155:43113": "Fuji",
    "eip155:43114": "Avalanche",
    "eip155:59144": "Linea",
    "eip155:80002": "Amoy",
    "eip155:84532": "Base Sepolia",
    "eip155:421614": "Arbitrum Sepolia",
    "eip155:534352": "Scroll",
    "eip155:560048": "Hoodi",
    "eip155:11155111": "Sepolia",
    "eip155:11155420": "OP Sepolia",
}


def check_chains(chains: Sequence[ChainChoice], profile: str) -> None:
    """Raise ConfigError for a chain that is named twice, or that `ChainChoice.check` refuses."""
    ids = [each.id for each in chains]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        fault = f"--chain: {', '.join(twice)} is given more than once"
        raise ConfigError([f"{fault}: give a chain once, with all its endpoints, rpc=…,rpc=…"])
    for each in chains:
        each.check(profile)


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

    @classmethod
    def begun(cls, chain: str, rpc: tuple[str, ...], profile: str) -> ChainChoice:
        """Return a choice of which only this is known: `check` then finds no fault but in that.

        Endpoints that are still to come, and the hub, are stood in for.
        """
        missing = range(len(rpc), LEAST_ENDPOINTS[profile])
        to_come = tuple(f"http://endpoint-{at}.invalid" for at in missing)
        return cls(chain, f"{chain}:0x{'11' * 20}", rpc + to_come)

    def check(self, profile: str) -> None:
        """Raise ConfigError for what the chain's adapter, or the profile, would refuse."""
        where = f"chain {self.id}"
        adapter = adapter_of(self._table(), where)
        if profile == "devnet" and self.id in PUBLIC:
            raise ConfigError(
                [
                    f"{where} is {PUBLIC[self.id]}, a public chain, and a devnet takes keys that "
                    "everyone knows: give --profile testnet, or mainnet where its coins have value"
                ]
            )
        least, (_, given) = LEAST_ENDPOINTS[profile], adapter.quorum
        if given < least:
            raise ConfigError(
                [
                    f"{where}: profile {profile} wants {least} endpoints, of different operators: "
                    f"give rpc={'…,rpc='.join([''] * least)}… and not {given}"
                ]
            )
        if profile == "mainnet" and (hosts := shared_hosts(self._table())):
            raise ConfigError(
                [
                    f"{where}: profile mainnet wants each endpoint on a host of its own, and several "
                    f"are on {', '.join(hosts)}: who holds that host holds their votes"
                ]
            )

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = {"id": self.id, "hub": self.hub}
        table["rpc"] = self.rpc[0] if len(self.rpc) == 1 else list(self.rpc)
        return table | ({"ws": self.ws} if self.ws else {})

    def toml(self, profile: str) -> str:
        """Return the chain's table, as it is written to vagus.toml."""
        if len(self.rpc) == 1:
            rpc = f"rpc = {quoted(self.rpc[0])}\n"
        else:
            agreeing = len(self.rpc) // 2 + 1
            lines = "".join(f"  {quoted(each)},\n" for each in self.rpc)
            rpc = f"rpc = [\n{lines}]\n"
            rpc += (
                f"quorum = {agreeing}             # so many must agree before anything is signed\n"
            )
        wake = f"ws = {quoted(self.ws)}   # only wakes the reader\n" if self.ws else ""
        finality = _FINALITY_MAINNET if profile == "mainnet" else _FINALITY
        return f"""
[[chains]]
id = {quoted(self.id)}
hub = {quoted(self.hub)}
{rpc}{wake}{finality}keystore = "keys/account.json"
password_file = "keys/password"
"""


def quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text)


_FINALITY = 'finality = "finalized"   # or "safe", or a number of confirmations\n'
_FINALITY_MAINNET = """\
finality = "finalized"   # less is refused, unless finality_reason says why it is enough here
"""
