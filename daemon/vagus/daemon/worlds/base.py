"""What every kind of development chain can do."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vagus.adapters.evm.devnet import DEV_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vagus.adapters.base import HubParameters
    from vagus.adapters.cosmos.devnet import Wasmd
    from vagus.adapters.evm.devnet import Anvil
    from vagus.adapters.solana.devnet import Litesvm

__all__ = ["World"]


class World(abc.ABC):
    """One chain of this machine, as an async context manager; it is gone at the end.

    `label` is its kind's name for people, `min_fee` a small fee in the smallest unit of its coin,
    `can_warp` whether its time can be moved on.
    """

    label: ClassVar[str]
    min_fee: ClassVar[int]
    can_warp: ClassVar[bool] = True

    _node: Anvil | Litesvm | Wasmd
    _name: str

    def __init__(self, say: Callable[[str], None], index: int) -> None:
        """Make one of these, as a kind does with its node and its name for people.

        `index` tells it from others of its kind.
        """
        self.caip2 = self.rpc = self.ws = ""
        self.hub = ""
        """Its hub, as CAIP-10, once it is deployed."""
        self.private_key = DEV_KEYS[1]
        """A funded key that everyone knows, in hex: on Solana the seed of an ed25519 key."""
        self._say = say

    @property
    def secret(self) -> bytes:
        """The private key's 32 bytes."""
        return bytes.fromhex(self.private_key.removeprefix("0x"))

    async def __aenter__(self) -> Self:
        self._say(f"Starting {self._name}")
        node = await self._node.__aenter__()
        self.caip2, self.rpc, self.ws = node.chain, node.rpc, node.ws
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._node.__aexit__(kind, error, trace)

    async def deploy(self, parameters: HubParameters) -> None:
        """Deploy a hub with these parameters, but for the fee, which is the chain's own."""
        self._say(f"Deploying a hub on {self.caip2}")
        self.hub = await self._deploy(dataclasses.replace(parameters, min_fee=self.min_fee))

    @classmethod
    @abc.abstractmethod
    def fetch(cls, say: Callable[[str], None]) -> None:
        """Fetch or build the node where it is missing. Raises FetchError."""

    @abc.abstractmethod
    def address(self, secret: bytes) -> str:
        """Return the address of the account that a key of 32 bytes pays from."""

    @abc.abstractmethod
    async def fund(self, address: str) -> None:
        """Give an account enough for thousands of transactions."""

    @abc.abstractmethod
    async def warp(self, seconds: int) -> None:
        """Let that much chain time pass."""

    @abc.abstractmethod
    async def _deploy(self, parameters: HubParameters) -> str:
        """Deploy a hub; its CAIP-10."""

    def more(self) -> dict[str, str]:
        """Return what a node's config has to say of this chain besides."""
        return {}

    def show(self) -> dict[str, Any]:
        """Return the chain as `vagus devnet up --json` prints it."""
        return {
            "caip2": self.caip2,
            "rpc": self.rpc,
            "ws": self.ws,
            "hub": self.hub,
            "private_key": self.private_key,
            **self.more(),
        }
