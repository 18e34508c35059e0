"""The head of the chain: one task polls it, and may be woken early.

A block is final when it is committed, so there is one head. It is the highest block that a quorum
has the state of, with the header that a quorum has there: an endpoint that is behind, or ahead of
all others, changes nothing.
"""

import asyncio
import math
from collections import Counter
from typing import NoReturn

import structlog

from vagus.adapters.base import Block, Heads
from vagus.adapters.cosmos.blocks import Header, read_committed, read_header
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.protocol import Halt, Retry

__all__ = ["HeadTracker", "read_own_header"]

# Looks that may be late before the chain counts as unhealthy, or an endpoint as failing.
_PATIENCE = 3
# Seconds between two looks at the least, however often a websocket wakes.
_LEAST_PAUSE = 0.05

log = structlog.get_logger(__name__)


async def read_own_header(rpc: Rpc, height: int, chain: str) -> Header:
    """Read a header; one of another chain bars its endpoint until it has one of this chain again."""
    header = await read_header(rpc, height)
    rpc.barred = "" if header.chain == chain else f"{rpc.name} serves {header.chain}"
    if rpc.barred:
        raise BadAnswer(rpc.barred)
    return header


class HeadTracker:
    """The newest block, which is final. Its height never goes back, whatever endpoints say."""

    def __init__(self, quorum: Quorum[Rpc], config: CosmosConfig) -> None:
        self.heads: Heads | None = None
        self._quorum = quorum
        self._config = config
        self.wake = asyncio.Event()
        """Set by whoever knows of news: `poll` looks at once."""
        self._changed = asyncio.Event()
        # At how many looks in a row each endpoint failed.
        self._failed: Counter[Rpc] = Counter()
        # What the look before had when it failed: each endpoint's height, all endpoints' claims.
        self._begun: dict[Rpc, tuple[int, int]] = {}
        self._claims: list[Block] = []
        self._looks = 0
        self._up = True
        self._looked = -math.inf

    @property
    def healthy(self) -> bool:
        """Whether the last look succeeded, and was not long ago."""
        age = asyncio.get_running_loop().time() - self._looked
        patience = _PATIENCE * self._config.poll_interval + self._config.timeout
        return self._up and self._quorum.halted is None and age <= patience

    def is_final(self, height: int) -> bool:
        """Whether nothing at this height can change any more."""
        return self.heads is not None and height <= self.heads.final.height

    async def block(self, height: int) -> Block:
        """Read a final block; Retry where none is final at that height yet."""
        if not self.is_final(height):
            raise Retry(f"{self._config.id} has no final block {height} yet")
        return await self.agreed(height)

    async def next(self, seen: Heads | None) -> Heads:
        """Wait until the heads differ from `seen`. Raises the `Halt` that ended the following."""
        while True:
            if self._quorum.halted is not None:
                raise self._quorum.halted
            if self.heads is not None and self.heads != seen:
                return self.heads
            await self._changed.wait()

    async def check_chain(self) -> None:
        """Raise `Halt`, now and in every later call, if a quorum serves another chain."""
        try:
            await self._quorum.reports(
                self._read, "the chain's id", lambda values, _: len(values) >= self._quorum.needed
            )
        except Retry:
            self._halt_on_another_chain()
            raise

    async def poll(self) -> None:
        """Follow the head for ever. A node that is down is waited for; a `Halt` ends it."""
        chain = self._config.id
        while self._quorum.halted is None:
            self.wake.clear()
            try:
                await self._look()
            except Retry as error:
                if self._up:
                    log.warning("chain unreachable", chain=chain, reason=error.reason)
                self._up = False
            except Halt:
                return
            else:
                if not self._up:
                    log.info("chain reachable again", chain=chain, endpoint=self._quorum.name)
                self._up = True
                self._looked = asyncio.get_running_loop().time()
            await self._pause(self._config.poll_interval)

    async def _pause(self, seconds: float) -> None:
        least = min(seconds, _LEAST_PAUSE)
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(seconds - least):
                await self.wake.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Read the head. A look that fails halfway is gone on with once by the next one.

        Else endpoints that fail every second call would never get through to the end.
        """
        self._looks += 1
        claims, self._claims = self._claims, []
        if not claims:
            claims = self._claims = await self._heard()
        known = self.heads
        head = await self._reached(claims)
        if known is not None:
            await self._check_history(known.final, head)
        self._claims = []
        if known is None or head.height > known.final.height:
            self.heads = Heads(head, head)
            self._notify()

    async def _heard(self) -> list[Block]:
        known = self.heads.final.height if self.heads else 0
        try:
            return await self._quorum.reports(
                self._claim,
                "the head",
                lambda claims, missing: self._quorum.certain(
                    [claim.height for claim in claims], missing
                ),
                # Who is behind what is known may be the last to keep others from being heard.
                lambda claim: claim.height >= known,
            )
        except Retry:
            self._halt_on_another_chain()
            raise

    async def _claim(self, rpc: Rpc) -> Block:
        try:
            block = await self._read(rpc)
        except Retry as error:
            self._say_failing(rpc, error.reason)
            raise
        self._say_failing(rpc, None)
        return block

    async def _read(self, rpc: Rpc) -> Block:
        """Read one endpoint's head; its header names the chain, each time."""
        look, height = self._begun.pop(rpc, (0, 0))
        if look < self._looks - 1 or not height:
            height = await read_committed(rpc)
        self._begun[rpc] = self._looks, height
        header = await read_own_header(rpc, height, self._config.id)
        self._begun.pop(rpc, None)  # a slow answer to the look before may have been here
        return header.block

    def _say_failing(self, rpc: Rpc, reason: str | None) -> None:
        """Log once that an endpoint keeps failing, and once that it answers again.

        One that is alone is the chain itself, of which `poll` speaks.
        """
        before = self._failed[rpc]
        self._failed[rpc] = before + 1 if reason else 0
        if len(self._quorum.endpoints) == 1:
            return
        chain = self._config.id
        if reason and before + 1 == _PATIENCE:
            log.warning("endpoint fails", chain=chain, endpoint=rpc.name, reason=reason)
        elif not reason and before >= _PATIENCE:
            log.info("endpoint answers again", chain=chain, endpoint=rpc.name)

    def _halt_on_another_chain(self) -> None:
        barred = [rpc.barred for rpc in self._quorum.endpoints if rpc.barred]
        if len(barred) >= self._quorum.needed:
            self.halt(", ".join(barred))

    async def _reached(self, claims: list[Block]) -> Block:
        """The block that a quorum has at the highest height that a quorum reaches."""
        height = self._quorum.reached([claim.height for claim in claims])
        there = [claim for claim in claims if claim.height == height]
        for claim in there:
            if there.count(claim) >= self._quorum.needed:
                return claim
        return await self.agreed(height)

    async def _check_history(self, known: Block, head: Block) -> None:
        """Halt if a committed block is another one now: none is ever replaced."""
        if head.height < known.height:
            return
        again = head if head.height == known.height else await self.agreed(known.height)
        if again.hash != known.hash:
            self.halt(f"the final block {known.height} was replaced by another one")

    async def agreed(self, height: int) -> Block:
        """Read a committed block, as a quorum has it."""
        header = await self._quorum.agree(
            lambda rpc: read_own_header(rpc, height, self._config.id), "a final block", fixed=True
        )
        return header.block

    def halt(self, reason: str) -> NoReturn:
        """Raise `Halt`, now and in every later call."""
        log.critical("chain must halt", chain=self._config.id, reason=reason)
        self._quorum.halted = Halt(self._config.id, reason)
        self._notify()
        raise self._quorum.halted

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
