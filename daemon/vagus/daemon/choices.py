"""The chains that `vagus init` is told of: read, held against the profile, and written to the config.

What an adapter or the profile would refuse is refused here, before a key is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.daemon.config import ConfigError, adapter_of, check_chain
from vagus.daemon.profiles import LEAST_ENDPOINTS, shared_hosts
from vagus.daemon.public_chains import PUBLIC
from vagus.protocol import unpack_address

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ChainChoice", "check_chains", "quoted"]

_OWN = {"id", "hub", "rpc", "ws"}
# By namespace, what else a chain may have to be told by.
_MORE = {"cosmos": {"chain_id", "fee_denom", "gas_price", "max_gas_price"}}
_SOMEBODY = bytes(12) + b"\x11" * 20


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
    """A chain as `vagus init` asks for it: CAIP-2, the hub's CAIP-10, and the endpoints.

    `more` is what else its table has, such as the `fee_denom` of a Cosmos chain.
    """

    id: str
    hub: str
    rpc: tuple[str, ...]
    ws: str | None = None
    more: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ChainChoice:
        """Read `id=…,hub=…,rpc=…[,rpc=…][,ws=…][,KEY=…]`. Raises ConfigError, which shows no endpoint."""
        parts: dict[str, list[str]] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            parts.setdefault(key.strip(), []).append(value.strip())
        kind = parts.get("id", [""])[0].partition(":")[0]
        unknown = sorted(parts.keys() - _OWN - _MORE.get(kind, set()))
        missing = sorted({"id", "hub", "rpc"} - parts.keys())
        twice = sorted(key for key in parts.keys() - {"rpc"} if len(parts[key]) > 1)
        for word, keys in (("unknown", unknown), ("missing", missing), ("more than once", twice)):
            if keys:
                wanted = "give id=…,hub=…,rpc=…[,rpc=…][,ws=…], and fee_denom=… on Cosmos"
                shown = ", ".join(key if key.isidentifier() else "a part without =" for key in keys)
                raise ConfigError([f"--chain: {word}: {shown}; {wanted}"])
        more = {key: value for key, (value, *_) in parts.items() if key not in _OWN}
        ws = parts.get("ws", [None])[0]
        return cls(parts["id"][0], parts["hub"][0], tuple(parts["rpc"]), ws, more)

    @classmethod
    def begun(cls, chain: str, rpc: tuple[str, ...], profile: str) -> ChainChoice:
        """Return a choice of which only this is known: `check` then finds no fault but in that.

        Endpoints that are still to come, and the hub, are stood in for.
        """
        missing = range(len(rpc), LEAST_ENDPOINTS[profile])
        more = {"fee_denom": "ucoin"} if chain.startswith("cosmos:") else {}
        to_come = tuple(f"http://endpoint-{at}.invalid" for at in missing)
        try:
            address = unpack_address(chain, _SOMEBODY, "cosmos")
        except ValueError:  # no chain at all, which `check` finds, or of an adapter from elsewhere
            address = f"0x{_SOMEBODY[12:].hex()}"
        return cls(chain, f"{chain}:{address}", rpc + to_come, more=more)

    def check(self, profile: str) -> None:
        """Raise ConfigError for what the chain's adapter, or the profile, would refuse."""
        where = f"chain {self.id}"
        adapter = adapter_of(self._table(), where)
        keys = {"keystore": Path("keystore"), "password_file": Path("password")}
        check_chain(self._table() | keys, where)  # some chains want more where there is an account
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

    def address(self, keystore: Path, password_file: Path) -> str:
        """Return the address on this chain of the account whose key is in a keystore."""
        keys = {"keystore": keystore, "password_file": password_file}
        return adapter_of(self._table() | keys, f"chain {self.id}").address

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = {"id": self.id, "hub": self.hub}
        table["rpc"] = self.rpc[0] if len(self.rpc) == 1 else list(self.rpc)
        return table | ({"ws": self.ws} if self.ws else {}) | self.more

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
        if not self.id.startswith("eip155:"):  # the others have one finality
            finality = ""
        more = "".join(f"{key} = {quoted(value)}\n" for key, value in self.more.items())
        return f"""
[[chains]]
id = {quoted(self.id)}
hub = {quoted(self.hub)}
{rpc}{wake}{finality}{more}keystore = "keys/account.json"
password_file = "keys/password"
"""


def quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text)


_FINALITY = 'finality = "finalized"   # or "safe", or a number of confirmations\n'
_FINALITY_MAINNET = """\
finality = "finalized"   # less is refused, unless finality_reason says why it is enough here
"""
