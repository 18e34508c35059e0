"""What a requester and an observer want of a chain, whatever its kind."""

import abc
from dataclasses import dataclass
from typing import Any

from web3 import Web3

__all__ = ["AGENT", "CALLBACK_GAS", "TTL", "Chain", "Delivered", "Settled"]

AGENT = bytes(Web3.keccak(text="chat@1"))
TTL = 3600
CALLBACK_GAS = 1_000_000


@dataclass(frozen=True)
class Delivered:
    """The event of a delivery that succeeded."""

    status: int
    output_hash: bytes
    evidence_hash: bytes


@dataclass(frozen=True)
class Settled:
    """The event of a settlement that succeeded."""

    status: int
    fee: int


class Chain(abc.ABC):
    """One chain with a hub, as `vagus devnet up --json` names it, and a person who asks there.

    `payer` is the address that the node under test sends from. What an implementation knows of
    vagus is the hub's published interface.
    """

    def __init__(self, shown: dict[str, Any], payer: str) -> None:
        self.caip2, self.rpc, self.ws = shown["caip2"], shown["rpc"], shown["ws"]
        self.kind = self.caip2.partition(":")[0]
        self.hub = shown["hub"]
        self.secret = bytes.fromhex(shown["private_key"].removeprefix("0x"))
        self.payer = payer

    @property
    @abc.abstractmethod
    def requester(self) -> bytes:
        """The packed address of the person who asks."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Hang up."""

    @abc.abstractmethod
    async def ask(self, payload: bytes, dest: str, callback: bytes) -> bytes:
        """Ask a chat agent for the hub `dest` (CAIP-10); the intent's id, once it is in a block.

        `callback` is the packed address of who is called there, zero for nobody.
        """

    @abc.abstractmethod
    async def deliveries(self, intent_id: bytes) -> list[Delivered]:
        """The deliveries of an intent, of all transactions that succeeded."""

    @abc.abstractmethod
    async def settlements(self, intent_id: bytes) -> list[Settled]:
        """The settlements of an intent that was asked here, of all transactions that succeeded."""

    @abc.abstractmethod
    async def outlive(self) -> None:
        """Wait until no transaction that is signed by now can be included any more."""

    @abc.abstractmethod
    async def sent(self) -> int:
        """How many transactions of the node's account are in blocks, those that failed among them."""
