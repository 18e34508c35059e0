"""Whether the node itself is sound: its journal takes writes, and the system gives it files.

Once a second both are tried. What is wrong is said in the log, to systemd and by /readyz, and while
it lasts nothing is run, signed or built. Systemd's watchdog hears of a node only while its event
loop turns and its journal's writer answers; one that hangs is ended and started again.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.journal.base import DamagedError
from vagus.protocol import Retry

if TYPE_CHECKING:
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.service.sdnotify import Notifier

__all__ = ["Health"]

log = structlog.get_logger("vagus.health")

TICK = 1.0
# A write that takes longer than this is taken for one that never ends.
HANG = 10.0


class Health:
    """Tries what a node cannot do without; `faults` has, by part, what is wrong with it now.

    The dictionary is the network's: /readyz shows the faults of hubs and of the node alike.
    """

    def __init__(self, journal: Journal, faults: dict[str, str]) -> None:
        self._journal = journal
        self._faults = faults
        self._own: dict[str, str] = {}

    async def require(self) -> None:
        """Return where the node may act; Retry where it cannot keep or send what it would sign."""
        if self._journal.fault:
            await self._journal.probe()
        if fault := self._own.get("files"):
            raise Retry(fault, after=TICK)

    async def watch(self, notifier: Notifier) -> None:
        """Look, say what has changed, and feed the watchdog, until cancelled.

        Raises DamagedError, which ends the node.
        """
        quiet = 0.0
        while True:
            answers = await self._look()
            quiet += TICK
            if answers and notifier.watchdog and quiet + TICK > notifier.watchdog / 2:
                notifier.alive()
                quiet = 0.0
            notifier.status(self._words())
            await asyncio.sleep(TICK)

    async def _look(self) -> bool:
        """Try both; return whether the journal's writer answers, well or badly."""
        self._say("files", _files_fault())
        try:
            async with asyncio.timeout(HANG):
                await self._journal.probe()
        except TimeoutError:
            self._say("journal", f"its writer has not answered for {HANG:g} s: look at the disk")
            return False
        except Retry as error:
            self._say("journal", f"{error.reason}; nothing is signed until it can be")
        except DamagedError as error:
            log.critical("journal damaged", reason=str(error))
            raise
        else:
            self._say("journal", None)
        return True

    def _say(self, part: str, fault: str | None) -> None:
        before = self._own.get(part)
        if fault is None:
            if before is not None:
                del self._own[part]
                self._faults.pop(part, None)
                log.info("node sound again", part=part)
            return
        self._own[part] = self._faults[part] = fault
        if before is None:  # once a fault, not once a second
            log.error("node not sound", part=part, reason=fault)

    def _words(self) -> str:
        if not self._faults:
            return "ready"
        return "not ready: " + "; ".join(f"{at}: {why}" for at, why in sorted(self._faults.items()))


def _files_fault() -> str | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"no file or socket can be opened ({error.strerror}): raise LimitNOFILE, or see what holds them"
    return None
