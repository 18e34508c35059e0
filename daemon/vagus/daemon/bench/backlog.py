"""What a chain must be able to do to be measured, and what all of them have in common.

A backlog is a running chain with a hub, and intents that were asked there and that nobody answered.
"""

from __future__ import annotations

import abc
import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

import msgspec
from coincurve import PrivateKey

from vagus.adapters.base import HubParameters, Question
from vagus.protocol import ZERO32, VagusError, address_of, agent_id, hub_id, keccak256

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from vagus.adapters.base import Call, ChainAdapter

    Work = Callable[[], Awaitable[object]]

__all__ = [
    "ASKER",
    "BARE",
    "DEPLOYER",
    "PARAMETERS",
    "PER_BLOCK",
    "SIGNER",
    "SIMULATOR",
    "Backlog",
    "in_turns",
    "question",
    "quorum_of",
    "timed",
]

SIGNER = PrivateKey(keccak256(b"a committee for measuring only"))
PARAMETERS = HubParameters(signers=(address_of(SIGNER),), threshold=1)

PER_BLOCK = 100
"""Intents of a block, or slot."""

DEPLOYER, ASKER, BARE, SIMULATOR = 0, 1, 4, 9
"""Which of a development chain's funded accounts does what; 2 and 3 are the adapters'."""

_PAYLOAD = msgspec.json.encode({"prompt": "x" * 300})
_SECONDS = 6 * 3_600
_FEE = 10**6


class Backlog(abc.ABC):
    """A running chain; `node` is what makes its blocks, `hub` CAIP-10.

    `peer` names a client of somebody else's that reads the same, empty where there is none.
    """

    node: ClassVar[str]
    peer: ClassVar[str] = ""

    def __init__(self, hub: str) -> None:
        self.hub = hub
        self.intents = 0

    @abc.abstractmethod
    async def ask(self, intents: int, progress: Callable[[int], None]) -> None:
        """Ask so many intents, `PER_BLOCK` in a block; `progress` is told how many are asked so far.

        At the end all are final, and from then on blocks come by themselves.
        """

    @abc.abstractmethod
    def adapter(self, endpoints: int, account: int = 2) -> ChainAdapter:
        """Make an adapter; several endpoints are one node under several names, with all their work."""

    @abc.abstractmethod
    async def read_bare(self, endpoints: int) -> None:
        """Fetch what the adapter fetches to read all intents, and look at none of it."""

    async def read_peer(self) -> None:
        """Read all intents by the client that `peer` names."""
        raise NotImplementedError(f"nobody else's client reads {self.node}")

    @abc.abstractmethod
    async def deliver_bare(self, calls: Sequence[Call], endpoints: int) -> list[Work]:
        """Sign deliveries, and return for each what simulates, sends and follows it to its inclusion."""


def question(hub: str, now: int) -> Question:
    """Return what is asked: a prompt of 300 letters, answered on the chain that asks."""
    return Question(
        agent_id=agent_id("chat@1"),
        payload=_PAYLOAD,
        model_digest=ZERO32,
        terms=b"",
        min_signers=0,
        dest_hub=hub_id(hub),
        callback=ZERO32,
        callback_gas=0,
        deadline=now + _SECONDS,
        fee=_FEE,
    )


def quorum_of(endpoints: int) -> str:
    """Say how many of so many endpoints must agree."""
    return f"{endpoints // 2 + 1} of {endpoints}"


async def in_turns(at_once: int, work: Iterable[Work]) -> None:
    """Do all of it, so much at once. Raises the first VagusError of any."""
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await each()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(worker(), name=f"bench {number}")
    except* VagusError as errors:
        raise errors.exceptions[0] from None


async def timed(work: Awaitable[None]) -> float:
    """Return the seconds that it takes."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began
