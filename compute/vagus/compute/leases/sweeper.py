"""Holds the ledger against the network's own list, and ends what is to end until the network agrees."""

from collections.abc import Callable

import structlog

from vagus.compute.leases.base import Lease, Provisioner
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import Row, State
from vagus.compute.leases.spend import micros
from vagus.protocol import Refuse, Retry

__all__ = ["Sweeper"]


class Sweeper:
    """For one backend. rate: what is booked for a machine of unknown price, in micro-USD per hour."""

    def __init__(
        self,
        provisioner: Provisioner,
        ledger: Ledger,
        backend: str,
        rate: int,
        clock: Callable[[], float],
    ) -> None:
        self._provisioner = provisioner
        self._ledger = ledger
        self._backend = backend
        self._rate = rate
        self._clock = clock
        self._log = structlog.get_logger("vagus.compute").bind(backend=backend)

    async def sweep(self) -> None:
        """Mark for its end what is rented and should not be, and what should be and is not."""
        now = self._clock()
        # The list first: what is listed had its row before.
        listed = await self._provisioner.owned(self._ledger.prefix)
        rows = {row.label: row for row in await self._ledger.live()}
        for lease in listed:
            row = rows.get(lease.label)
            if row is None:
                await self._take_up(lease)
            elif row.id and row.id != lease.id and row.backend == self._backend:
                self._log.error("two machines under one label", label=lease.label, id=lease.id)
                await self._provisioner.release(lease)
        there = {lease.label for lease in listed}
        for row in rows.values():
            # What was asked for a moment ago may be listed later.
            old = row.asked + self._provisioner.settles < now
            held = row.state in {State.LEASED, State.SERVING} and row.backend == self._backend
            if held and old and row.label not in there:
                self._log.warning("the network has ended it", label=row.label)
                await self._ledger.releasing(row.number, "the network has ended it", lost=True)

    async def release(self) -> None:
        """End what is marked for it: only the network's own word counts. Raises what failed last."""
        failed: Retry | Refuse | None = None
        for row in await self._ledger.live(self._backend):
            if row.state != State.RELEASING:
                continue
            try:
                rented = bool(row.asked) and await self._end(row)
            except (Retry, Refuse) as error:
                failed = error
                continue
            await self._ledger.ended(row.number, int(self._clock()), rented=rented)
            self._log.info("released", label=row.label, reason=row.reason)
        if failed is not None:
            raise failed

    def settled(self, row: Row) -> None:
        """Raise Retry while an empty list proves nothing of a lease."""
        rest = row.asked + self._provisioner.settles - self._clock()
        if rest > 0:
            raise Retry(f"{row.label} may yet appear on the network", rest)

    async def _take_up(self, lease: Lease) -> None:
        """Take over a machine that bears a label of ours and that no live lease accounts for."""
        rate = self._rate if lease.hourly is None else micros(lease.hourly)
        taken = await self._ledger.stray(
            lease.label,
            lease.id,
            self._backend,
            self._provisioner.network,
            rate,
            int(self._clock()),
        )
        words = "a lease that should not be there" if taken else "left alone: no lease of ours"
        self._log.warning(words, label=lease.label, id=lease.id)

    async def _end(self, row: Row) -> bool:
        """Have the network end all that is under a label; say whether it may have rented anything."""
        listed = await self._provisioner.owned(row.label)
        mine = {lease.id: lease for lease in listed if lease.label == row.label}
        if row.id:
            mine.setdefault(row.id, row.lease)
        for lease in mine.values():
            await self._provisioner.release(lease)
        if not mine:
            # Nothing is listed, but what was asked for may only not be listed yet.
            self.settled(row)
        # What was rented for so long would still be there.
        return bool(mine) or self._clock() >= row.until
