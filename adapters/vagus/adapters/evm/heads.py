"""The head of the chain: one task polls, and a websocket does nothing but wake it early."""

import asyncio
import math
from typing import NoReturn

import aiohttp
import structlog

from vagus.adapters.base import Heads
from vagus.adapters.evm.blocks import Header, read_header
from vagus.adapters.evm.config import EvmConfig, endpoint_name
from vagus.adapters.evm.errors import BadAnswer
from vagus.adapters.evm.rpc import Rpc
from vagus.protocol import Halt, Retry

__all__ = ["HeadTracker"]

_SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
_HEARTBEAT = 20.0
_MAX_MESSAGE = 1 << 20
_MAX_BACKOFF = 30.0
# Looks that may be late before the chain counts as unhealthy.
_PATIENCE = 3

log = structlog.get_logger(__name__)


class HeadTracker:
    """The newest and the newest final block. Heights never go back, whatever a node says."""

    def __init__(self, rpc: Rpc, config: EvmConfig) -> None:
        self.heads: Heads | None = None
        self.base_fee = 0
        """Wei per gas, of the newest block."""
        self._rpc = rpc
        self._config = config
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._checked = False
        self._up = True
        self._looked = -math.inf

    @property
    def healthy(self) -> bool:
        """Whether the last look succeeded, and was not long ago."""
        age = asyncio.get_running_loop().time() - self._looked
        patience = _PATIENCE * self._config.poll_interval + self._config.timeout
        return self._up and self._rpc.halted is None and age <= patience

    async def next(self, seen: Heads | None) -> Heads:
        """Wait until the heads differ from `seen`. Raises the `Halt` that ended the following."""
        while True:
            if self._rpc.halted is not None:
                raise self._rpc.halted
            if self.heads is not None and self.heads != seen:
                return self.heads
            await self._changed.wait()

    async def check_chain(self) -> None:
        """Raise `Halt`, now and in every later call, if the node serves another chain."""
        found = await self._rpc.quantity("eth_chainId", [])
        if found != self._config.chain_id:
            self._halt(f"{self._rpc.name} serves eip155:{found}")
        self._checked = True

    async def poll(self) -> None:
        """Follow the head for ever. A node that is down is waited for; a `Halt` ends it."""
        chain = self._config.id
        while self._rpc.halted is None:
            self._wake.clear()
            try:
                await self._look()
            except Retry as error:
                # Whatever answers next may be another node: its chain id is asked for first.
                self._checked = False
                if self._up:
                    log.warning("chain.unreachable", chain=chain, reason=error.reason)
                self._up = False
            except Halt as error:
                log.critical("chain.halted", chain=chain, reason=error.reason)
            else:
                if not self._up:
                    log.info("chain.reachable", chain=chain, endpoint=self._rpc.name)
                self._up = True
                self._looked = asyncio.get_running_loop().time()
            await self._pause(self._config.poll_interval)

    async def wake(self, session: aiohttp.ClientSession) -> None:
        """Wake `poll` by the websocket's new heads, for ever; a broken one is opened again."""
        if self._config.ws is None:
            return
        name, chain, backoff = endpoint_name(self._config.ws), self._config.id, 1.0
        while self._rpc.halted is None:
            fault = "closed"
            try:
                async with session.ws_connect(
                    self._config.ws.get_secret_value(),
                    heartbeat=_HEARTBEAT,
                    max_msg_size=_MAX_MESSAGE,
                ) as socket:
                    await socket.send_json(_SUBSCRIBE)
                    async for message in socket:
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            break
                        backoff = 1.0
                        self._wake.set()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault = type(error).__name__
            log.info("chain.websocket_lost", chain=chain, endpoint=name, reason=fault)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _MAX_BACKOFF)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        if not self._checked:
            await self.check_chain()
        latest = await self._header("latest")
        final = await self._final(latest)
        if final.block.height > latest.block.height:
            raise BadAnswer(f"{self._rpc.name}: a final block above the newest one")
        known = self.heads
        if known is not None:
            await self._check_history(known, final)
            if latest.block.height < known.latest.height:
                latest = Header(known.latest, self.base_fee)
            if final.block.height < known.final.height:
                final = Header(known.final, self.base_fee)
        heads = Heads(latest.block, final.block)
        if heads != known:
            self.heads, self.base_fee = heads, latest.base_fee
            self._notify()

    async def _final(self, latest: Header) -> Header:
        if isinstance(self._config.finality, str):
            return await self._header(self._config.finality)
        return await self._header(max(0, latest.block.height - self._config.finality))

    async def _check_history(self, known: Heads, final: Header) -> None:
        """Halt if a block that was final is another one now: deeper than finality nothing may go."""
        if final.block.height < known.final.height:
            return
        again = final
        if final.block.height > known.final.height:
            again = await self._header(known.final.height)
        if again.block.hash != known.final.hash:
            self._halt(f"the final block {known.final.height} was replaced by another one")

    async def _header(self, height: int | str) -> Header:
        header = await read_header(self._rpc, height)
        if header is None:
            raise BadAnswer(f"{self._rpc.name} has no block {height}")
        return header

    def _halt(self, reason: str) -> NoReturn:
        self._rpc.halted = Halt(self._config.id, reason)
        self._notify()
        raise self._rpc.halted

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
