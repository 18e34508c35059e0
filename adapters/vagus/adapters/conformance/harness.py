"""What an adapter's author gives to the kit: a development chain with a hub, and hands to move it.

What a harness says is the truth that the adapter is held against, so none of it comes from the
adapter: it asks by another client (web3 for EVM chains) and reads by the node itself.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from coincurve import PrivateKey

from vagus.adapters.base import Block, ChainAdapter, EventFilter
from vagus.adapters.conformance.faults import Fault
from vagus.protocol import Refuse, keccak256

__all__ = ["ACCOUNTS", "SIGNER", "Asked", "ChainHarness", "Urls"]

SIGNER = PrivateKey(keccak256(b"the committee of a conformance run, which everyone knows"))
"""The one signer of the hub under test; the kit signs attestations and receipts with it."""

ACCOUNTS = 8
"""How many accounts are funded."""


@dataclass(frozen=True, slots=True)
class Urls:
    """One endpoint of a node: JSON-RPC over HTTP, and the websocket that tells of new blocks."""

    rpc: str
    ws: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """An intent as another client saw it asked: ids of 32 bytes, the block that holds it."""

    intent_id: bytes
    seq: int
    payload: bytes
    tx_id: str
    height: int


class ChainHarness(abc.ABC):
    """One development chain with one hub, as an async context manager.

    Entering starts the node and deploys a hub whose set is `SIGNER` alone, with threshold 1 and
    minimal fee 0. Leaving ends the node. A chain that can stand still does: its blocks come by the
    calls below alone.

    `node` are the endpoint's URLs. `finality` is how many blocks lie between the newest and the
    newest final one: 0 where a block is final at once. `requested` selects the hub's
    IntentRequested events. `nobody` is a packed address where no contract is.
    """

    node: Urls
    finality: int
    requested: EventFilter
    nobody: bytes

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Start the node and deploy the hub; at least `finality` blocks stand upon it."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the node."""

    @abc.abstractmethod
    def adapter(
        self,
        endpoints: Sequence[Urls],
        *,
        account: int = 0,
        quorum: int = 1,
        poll: float = 0.05,
    ) -> ChainAdapter:
        """Make an adapter, not entered, over these endpoints, of which `quorum` must agree.

        `account` pays: 0 to 7 are funded and used by nobody else, those from 8 on have nothing.
        `poll` are the seconds between two looks at the head. Answers time out after two seconds,
        and are at most a few MiB long: the kit waits for both.
        """

    @abc.abstractmethod
    async def ask(self, payloads: Sequence[bytes]) -> list[Asked]:
        """Ask one intent each, to this hub and without a callback, in one new block if it can be.

        They are included when this returns, in the order of the payloads. The requester is an
        account of its own; deadlines are an hour of chain time away.
        """

    @abc.abstractmethod
    async def advance(self, blocks: int = 1) -> None:
        """Let so many blocks come; what was broadcast before is in the first of them."""

    @abc.abstractmethod
    async def block(self, height: int | None = None) -> Block:
        """Read a block from the node by another client, the newest one where `height` is None."""

    @abc.abstractmethod
    async def fund(self, account: bytes, amount: int) -> None:
        """Give a packed address at least that much, in the coin's smallest unit."""

    @abc.abstractmethod
    def another_chain(self) -> Fault:
        """Return the fault that makes the node claim to serve another chain."""

    @abc.abstractmethod
    def forgeries(self) -> Mapping[str, Fault]:
        """Return what a lying node would say to have something signed, by names for people.

        Each is a plausible answer: another intent, an open intent where none is, another block
        under the height of a final one, a delivery that never was, a credit.
        """

    # What a chain may lack, with a reason in the test class's `lacks`

    async def reorganise(self, depth: int) -> None:
        """Replace the newest `depth` blocks by as many others, without their transactions."""
        raise Refuse(f"{type(self).__name__} has no reorganise: implement it, or lack 'reorg'")

    async def forget(self, tx_id: str) -> None:
        """Let the node forget a transaction that is not included yet."""
        raise Refuse(f"{type(self).__name__} has no forget: implement it, or lack 'mempool'")

    async def pass_time(self, seconds: int) -> None:
        """Let so much chain time pass, and blocks after it until all of that is final."""
        raise Refuse(f"{type(self).__name__} has no pass_time: implement it, or lack 'time'")
