"""The head of the chain: one task polls it, and may be woken early.

The newest head is the newest slot that is confirmed: what is only processed may be of a fork that
dies. A head is the highest slot that a quorum reaches, with the block that a quorum has there: an
endpoint that is behind, or ahead of all others, changes nothing.
"""

import asyncio
import math
from collections import Counter
from typing import NamedTuple, NoReturn

import msgspec
import structlog

from vagus.adapters.base import Block, Heads
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.blocks import key_bytes, read_block, read_slot
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import Halt, Retry

__all__ = ["HeadTracker", "read_chain"]

# Looks that may be late before the chain counts as unhealthy, or an endpoint as failing.
_PATIENCE = 3
# Seconds between two looks at the least, however often a websocket wakes.
_LEAST_PAUSE = 0.05
_NEWEST = "the newest block"
_REFERENCE = 32  # letters of the genesis hash in a chain's id (CAIP-30)
_texts = msgspec.json.Decoder(str)

log = structlog.get_logger(__name__)


async def read_chain(rpc: Rpc) -> str:
    """Read which chain an endpoint serves, as CAIP-2."""
    genesis = await rpc.call("getGenesisHash", [], _texts)
    try:
        key_bytes(genesis)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getGenesisHash: {error}") from None
    return f"solana:{genesis[:_REFERENCE]}"


class _Claim(NamedTuple):
    """What one endpoint says of the chain."""

    latest: Block
    final: Block


class HeadTracker:
    """The newest and the newest final slot. Slots never go back, whatever endpoints say."""

    def __init__(self, quorum: Quorum[Rpc], config: SolanaConfig) -> None:
        self.heads: Heads | None = None
        self._quorum = quorum
        self._config = config
        self.wake = asyncio.Event()
        """Set by whoever knows of news: `poll` looks at once."""
        self._changed = asyncio.Event()
        # Whose chain id was asked for, and at how many looks in a row each failed.
        self._checked: set[Rpc] = set()
        self._failed: Counter[Rpc] = Counter()
        # What the look before had when it failed: an endpoint's newest block, all endpoints' claims.
        self._begun: dict[Rpc, tuple[int, Block]] = {}
        self._claims: list[_Claim] = []
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
            raise Retry(f"{self._config.id} has no final block in slot {height} yet")
        return await self._agreed(height, "a final block")

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
                self._check, "the chain's id", lambda values, _: len(values) >= self._quorum.needed
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
        """Read the heads. A look that fails halfway is gone on with once by the next one.

        Else endpoints that fail every second call would never get through to the end.
        """
        self._looks += 1
        claims, self._claims = self._claims, []
        if not claims:
            claims = self._claims = await self._heard()
        known = self.heads
        try:
            latest = await self._reached([claim.latest for claim in claims], _NEWEST)
            final = await self._reached([claim.final for claim in claims], "the final block")
            if known is not None:
                await self._check_history(known, final)
        except Retry:
            # Whatever answers next may be another node.
            self._checked.clear()
            raise
        self._claims = []
        if known is not None:
            latest = max(latest, known.latest, key=lambda block: block.height)
            final = max(final, known.final, key=lambda block: block.height)
        heads = Heads(latest, final)
        if heads != known:
            self.heads = heads
            self._notify()

    async def _heard(self) -> list[_Claim]:
        known = self.heads.latest.height if self.heads else 0
        try:
            return await self._quorum.reports(
                self._claim,
                "the head",
                self._certain,
                # Who is behind what is known may be the last to keep others from being heard.
                lambda claim: claim.latest.height >= known,
            )
        except Retry:
            self._halt_on_another_chain()
            raise

    async def _claim(self, rpc: Rpc) -> _Claim:
        """Read one endpoint's heads; whatever answers after a fault is asked for its chain first."""
        fresh = rpc not in self._checked
        try:
            if fresh:
                await self._check(rpc)
            look, latest = self._begun.pop(rpc, (0, None))
            if latest is None or look < self._looks - 1:
                slot = await read_slot(rpc, "confirmed")
                latest = await read_block(rpc, slot, "confirmed")
            self._begun[rpc] = self._looks, latest
            final = await read_block(rpc, await read_slot(rpc, "finalized"), "finalized")
            self._begun.pop(rpc, None)  # a slow answer to the look before may have been here
            # Blocks may have come meanwhile: on a fast chain the final one is then above the newest.
            latest = max(latest, final, key=lambda block: block.height)
        except Retry as error:
            if not fresh:
                self._checked.discard(rpc)
            self._say_failing(rpc, error.reason)
            raise
        self._say_failing(rpc, None)
        return _Claim(latest, final)

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

    async def _check(self, rpc: Rpc) -> None:
        chain = await read_chain(rpc)
        rpc.barred = "" if chain == self._config.id else f"{rpc.name} serves {chain}"
        if rpc.barred:
            raise BadAnswer(rpc.barred)
        self._checked.add(rpc)

    def _halt_on_another_chain(self) -> None:
        barred = [rpc.barred for rpc in self._quorum.endpoints if rpc.barred]
        if len(barred) >= self._quorum.needed:
            self.halt(", ".join(barred))

    def _certain(self, claims: list[_Claim], missing: int) -> bool:
        latest = [claim.latest.height for claim in claims]
        final = [claim.final.height for claim in claims]
        certain = self._quorum.certain
        return certain(latest, missing) and certain(final, missing)

    async def _reached(self, blocks: list[Block], about: str) -> Block:
        """The header that a quorum has at the highest height that a quorum reaches."""
        height = self._quorum.reached([block.height for block in blocks])
        there = [block for block in blocks if block.height == height]
        for block in there:
            if there.count(block) >= self._quorum.needed:
                return block
        return await self._agreed(height, about)

    async def _check_history(self, known: Heads, final: Block) -> None:
        """Halt if a block that was final is another one now: deeper than finality nothing may go."""
        if final.height < known.final.height:
            return
        again = final
        if final.height > known.final.height:
            again = await self._agreed(known.final.height, "a final block")
        if again.hash != known.final.hash:
            self.halt(f"the final block {known.final.height} was replaced by another one")

    async def _agreed(self, height: int, about: str) -> Block:
        final = about != _NEWEST
        commitment = "finalized" if final else "confirmed"
        return await self._quorum.agree(
            lambda rpc: read_block(rpc, height, commitment), about, fixed=final
        )

    def halt(self, reason: str) -> NoReturn:
        """Raise `Halt`, now and in every later call."""
        log.critical("chain must halt", chain=self._config.id, reason=reason)
        self._quorum.halted = Halt(self._config.id, reason)
        self._notify()
        raise self._quorum.halted

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
