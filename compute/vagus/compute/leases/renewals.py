"""Lets a lease last: booked within the caps first, bought then, and not booked where it was not bought."""

import structlog

from vagus.compute.bounds import one_line
from vagus.compute.leases.base import Provisioner, Want, span
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import Row
from vagus.compute.leases.spend import Cap, dollars, micros
from vagus.protocol import Refuse

__all__ = ["Renewals"]


class Renewals:
    """Those of one backend's leases. What is kept in memory only saves a call: each may be made twice."""

    def __init__(
        self, provisioner: Provisioner, ledger: Ledger, backend: str, want: Want, cap: Cap
    ) -> None:
        self._provisioner = provisioner
        self._ledger = ledger
        self._want = want
        self._cap = cap
        # By lease: until when the network is known to let it last; the end that was booked before.
        self._assured: dict[int, int] = {}
        self._extended: dict[int, int] = {}
        self._unwilling: set[int] = set()
        self._log = structlog.get_logger("vagus.compute").bind(backend=backend)

    def assure(self, row: Row) -> None:
        """Note that the network lets a lease last for as long as it is booked."""
        self._extended.pop(row.number, None)
        self._assured[row.number] = row.until

    def forget(self, number: int) -> None:
        """Note that a lease is over."""
        self._assured.pop(number, None)
        self._extended.pop(number, None)
        self._unwilling.discard(number)

    async def renew(self, row: Row, now: int, *, wanted: bool) -> float:
        """Book more time where it is due, see that the network knows; return the seconds until it is due.

        Raises Retry, and Refuse for a ledger that can't be relied on.
        """
        early = min(600, span(self._want) // 4)
        if wanted and row.until - now <= early and row.number not in self._unwilling:
            try:
                await self._extend(row, now)
            except Refuse as error:
                self._will_not(row, error)
            else:
                row = await self._ledger.row(row.number)
        if self._assured.get(row.number, 0) < row.until:
            await self._ledger.buying(row.number, now)
            try:
                await self._provisioner.renew(row.lease, row.until)
            except Refuse as error:
                # It lasts as long as it lasts; what is not bought is not booked.
                self._will_not(row, error)
                if row.number in self._extended:
                    await self._ledger.shorten(row.number, self._extended[row.number])
                    row = await self._ledger.row(row.number)
            self.assure(row)
        return row.until - now - (0 if row.number in self._unwilling else early)

    async def _extend(self, row: Row, now: int) -> None:
        """Book a lease for longer. Raises Refuse where its price or the caps do not allow it."""
        most = self._want.max_hourly
        if row.rate > micros(most):
            costs = f"it costs {dollars(row.rate)} USD an hour"
            raise Refuse(f"{costs}, and max_hourly is {most} by now")
        await self._ledger.extend(row.number, row.until + span(self._want), self._cap, now)
        self._extended[row.number] = row.until

    def _will_not(self, row: Row, error: Refuse) -> None:
        self._unwilling.add(row.number)
        self._log.warning("not renewed", label=row.label, reason=one_line(error.reason))
