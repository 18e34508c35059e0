"""Keeps one machine rented while it is needed, and none when it is not: the ledger first, always.

The lessor is the one place that asks a network again. `step` looks at the ledger and does what comes
next; it holds nothing that a crash could take: what is in memory only says when to look again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from vagus.compute.bounds import one_line
from vagus.compute.client import Endpoint
from vagus.compute.leases.base import Provisioner, Want, span
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import Row, State
from vagus.compute.leases.spend import HOUR, Cap, micros
from vagus.compute.leases.sweeper import Sweeper
from vagus.protocol import Refuse, Retry

__all__ = ["Lessor", "Plan", "Tenant"]

# Seconds: between two lists of all that is rented, between two looks at what serves or waits.
SWEEP = 600.0
WATCH = 30.0
LONGEST = 60.0
# Before the paid time is over, for ending what some networks would go on charging for.
SPARE = 120.0
# After a no that only a person or the market can change.
REFUSED = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to rent and when; seconds.

    always: whether or not anybody asks. idle: how long after the last request it is kept. start: how
    long it may take until it serves. gone: how long a machine may be silent before it is given up.
    """

    backend: str
    want: Want
    cap: Cap
    always: bool = False
    idle: float = 900.0
    start: float = 1800.0
    gone: float = 120.0


class Tenant(Protocol):
    """Who uses the machine."""

    async def move_in(self, endpoint: Endpoint) -> None:
        """Take a completion from a server and use it from then on. Raises Retry or Refuse."""

    async def move_out(self) -> None:
        """Use it no more."""


class Lessor:
    """The leases of one backend. `why` says in words why there is none that serves."""

    def __init__(
        self,
        provisioner: Provisioner,
        ledger: Ledger,
        plan: Plan,
        tenant: Tenant,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._provisioner = provisioner
        self._ledger = ledger
        self._plan = plan
        self._tenant = tenant
        self._clock = clock
        self._sweeper = Sweeper(
            provisioner, ledger, plan.backend, micros(plan.want.max_hourly), clock
        )
        self._wake = asyncio.Event()
        self._needed = clock()
        self._needed_ever = False
        self._swept: float | None = None
        self._began = clock()
        self._moved_in = 0
        self._home: Endpoint | None = None
        self._doubted: float | None = None
        self._trying: dict[int, float] = {}
        self._assured: dict[int, int] = {}
        self._extended: dict[int, int] = {}
        self._unwilling: set[int] = set()
        self._refused: dict[str, float] = {}
        self._not_before: dict[str, tuple[float, int]] = {}
        self.why = "nothing is rented yet"
        self._log = structlog.get_logger("vagus.compute").bind(backend=plan.backend)

    def need(self) -> None:
        """Note that somebody asks for the machine now."""
        first = not self._needed_ever or not self._wanted()
        self._needed, self._needed_ever = self._clock(), True
        if first:
            self._wake.set()

    def doubt(self) -> None:
        """Note that the server has failed: it is looked at soon."""
        if self._doubted is None:
            self._doubted = self._clock()
            self._wake.set()

    async def run(self) -> None:
        """Step for ever, when it is time or somebody wants something."""
        while True:
            self._wake.clear()
            delay = await self.step()
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def step(self) -> float:
        """Do what comes next, and return the seconds until the next look."""
        delays = [
            await self._try("sweep", self._sweep),
            await self._try("release", self._release),
            await self._try("keep", self._keep),
        ]
        return max(0.0, min(delays))

    async def stop(self) -> bool:
        """Ask for the end of all leases; say whether all are over."""
        for row in await self._ledger.live(self._plan.backend):
            await self._ledger.releasing(row.number, "the node was stopped")
        await self._tenant.move_out()
        return await self.release()

    async def release(self) -> bool:
        """Ask for the end of what is marked for it; say whether all of that is over."""
        self._not_before.pop("release", None)
        await self._try("release", self._release)
        live = await self._ledger.live(self._plan.backend)
        return not any(row.state == State.RELEASING for row in live)

    async def _try(self, what: str, part: Callable[[], Awaitable[float]]) -> float:
        """Do one part of a step; after an error not before its time, which grows with each."""
        again, failed = self._not_before.get(what, (0.0, 0))
        if (rest := again - self._clock()) > 0:
            return rest
        try:
            delay = await part()
        except Retry as error:
            delay, reason = max(error.after, _pause(failed)), error.reason
        except Refuse as error:
            delay, reason = REFUSED, error.reason
        except Exception as error:  # noqa: BLE001 - what is rented must be looked after all the same
            # By its type alone: its words may quote what the network was sent.
            delay, reason = _pause(failed), f"a defect of this node: {type(error).__name__}"
        else:
            self._not_before.pop(what, None)
            return delay
        if what == "keep" or self._swept is None:
            self.why = reason
        if not failed:
            self._log.warning("lease", doing=what, reason=one_line(reason), again_in=delay)
        self._not_before[what] = (self._clock() + delay, failed + 1)
        return delay

    async def _sweep(self) -> float:
        """Compare the network's list with the ledger, now and then."""
        now = self._clock()
        if self._swept is not None and (rest := self._swept + SWEEP - now) > 0:
            return rest
        await self._sweeper.sweep()
        self._swept = now
        self._not_before.pop("release", None)
        return SWEEP

    async def _release(self) -> float:
        """End what is to end, once nobody lives there any more."""
        for row in await self._ledger.live(self._plan.backend):
            if row.state == State.RELEASING and self._moved_in == row.number:
                await self._move_out()
        await self._sweeper.release()
        return SWEEP

    async def _keep(self) -> float:
        """Bring the backend's lease one step on, or begin one."""
        live = await self._ledger.live(self._plan.backend)
        rows = [row for row in live if row.state != State.RELEASING]
        for row in rows[:-1]:
            await self._give_up(row, "there is a later one")
        if not rows:
            if self._moved_in:
                await self._move_out()
            # One machine at a time: what is not known to have ended may still cost.
            return await self._begin() if self._wanted() and not live else WATCH
        row = rows[-1]
        now = self._clock()
        # Hours that are paid come back to nobody: they are kept for whoever asks next.
        if not self._wanted() and not (row.prepaid and row.state == State.SERVING):
            return await self._give_up(row, "nobody needs it")
        if now >= row.until - SPARE:
            return await self._give_up(row, "the time that is paid is over")
        if row.state in {State.INTENDED, State.ASKED}:
            return await self._ask(row)
        if self._moved_in != row.number or self._doubted is not None:
            return await self._look(row)
        return await self._renew(row)

    def _wanted(self) -> bool:
        # After a start, what is rented is kept for a while: somebody may ask.
        return self._plan.always or self._clock() < self._needed + self._plan.idle

    async def _begin(self) -> float:
        """Book the cheapest machine that there is, within the caps."""
        if not (self._plan.always or self._needed_ever):
            return self._plan.idle
        if self._swept is None:
            return WATCH  # what is rented is not known yet, and `why` says why not
        quotes = await self._provisioner.quote(self._plan.want)
        if not quotes:
            raise Retry("the network has no such machine at that price", LONGEST)
        now = int(self._clock())
        quote = next((each for each in quotes if self._refused.get(each.offer, 0) <= now), None)
        if quote is None:
            raise Retry(self.why or "each offer was refused", LONGEST)
        await self._ledger.intend(
            self._plan.backend, self._provisioner.network, quote, self._plan.cap, now
        )
        return 0.0

    async def _ask(self, row: Row) -> float:
        """Have it rented; the same call goes on with what an earlier one began."""
        if row.state == State.INTENDED and not self._fits(row):
            return await self._give_up(row, "the config wants another one by now")
        if self._clock() > max(row.begun, self._began) + self._plan.start:
            return await self._refuse(row, "the network did not rent it out in time")
        if row.state == State.ASKED and row.number not in self._trying:
            # By an earlier life of this node, whose last call may still be under way.
            self._sweeper.settled(row)
        self._trying.setdefault(row.number, self._clock())
        if not await self._ledger.asked(row.number, int(self._clock())):
            return 0.0
        # What is booked, whatever the config says by now: hours that are paid before are bought whole.
        since = row.begun if row.prepaid else self._clock()
        want = replace(self._plan.want, hours=max(0.01, (row.until - since) / HOUR))
        try:
            lease = await self._provisioner.lease(
                row.quote(want), row.label, self._ledger.key(row.label)
            )
        except Refuse as error:
            return await self._refuse(row, error.reason)
        rate = None if lease.hourly is None else micros(lease.hourly)
        await self._ledger.leased(row.number, lease.id, rate)
        if rate is not None and rate > row.rate:
            return await self._refuse(row, f"it costs {lease.hourly} USD an hour, not as quoted")
        self._assured[row.number] = row.until
        self._log.info("leased", label=row.label, id=lease.id, gpu=row.gpu)
        return 0.0

    def _fits(self, row: Row) -> bool:
        """Say whether a lease was booked for the hours, and within the price, that are wanted now."""
        want = self._plan.want
        return row.until - row.begun == span(want) and row.rate <= micros(want.max_hourly)

    async def _look(self, row: Row) -> float:
        """Ask the machine's server for a completion: the only readiness that counts."""
        since = self._trying.setdefault(row.number, self._clock())
        patience = self._plan.start if self._doubted is None else self._plan.gone
        try:
            await self._greet(row)
        except Retry as error:
            begun = since if self._doubted is None else self._doubted
            if self._clock() > begun + patience:
                return await self._give_up(row, f"it does not serve: {error.reason}", lost=True)
            raise
        except Refuse as error:
            return await self._give_up(row, error.reason, lost=True)
        self._moved_in, self._doubted = row.number, None
        self._trying.pop(row.number, None)
        await self._ledger.serving(row.number)
        self._log.info("serving", label=row.label)
        self.why = ""
        return 0.0

    async def _greet(self, row: Row) -> None:
        """Have the tenant served, where it lives already or where the network says."""
        if self._moved_in == row.number and self._home is not None:
            try:
                return await self._tenant.move_in(self._home)
            except (Retry, Refuse):
                pass  # it may have moved, or be gone: the network knows
        endpoint = await self._provisioner.ready(row.lease)
        if endpoint is None:
            raise Retry("its server has no address yet", 5.0)
        if endpoint.api_key is None:
            endpoint = replace(endpoint, api_key=self._ledger.key(row.label))
        try:
            await self._tenant.move_in(endpoint)
        except Refuse as error:
            # A gateway says 404 for a server that is not up yet.
            raise Retry(error.reason, 5.0) from None
        self._home = endpoint
        return None

    async def _renew(self, row: Row) -> float:
        """Let it last while it is wanted and the caps allow, and see that the network knows."""
        now = int(self._clock())
        hours = span(self._plan.want)
        early = min(600, hours // 4)
        due = row.until - now <= early and self._wanted()
        if due and row.number not in self._unwilling:
            try:
                await self._ledger.extend(row.number, row.until + hours, self._plan.cap, now)
            except Refuse as error:
                self._unwilling.add(row.number)
                self._log.warning("not renewed", label=row.label, reason=error.reason)
            else:
                self._extended[row.number] = row.until
                row = await self._ledger.row(row.number)
        if self._assured.get(row.number, 0) < row.until:
            await self._ledger.buying(row.number, now)
            try:
                await self._provisioner.renew(row.lease, row.until)
            except Refuse as error:
                # It lasts as long as it lasts; what is not bought is not booked.
                self._unwilling.add(row.number)
                if row.number in self._extended:
                    await self._ledger.shorten(row.number, self._extended[row.number])
                    row = await self._ledger.row(row.number)
                self._log.warning("not renewed", label=row.label, reason=one_line(error.reason))
            self._extended.pop(row.number, None)
            self._assured[row.number] = row.until
        ahead = row.until - now - (0 if row.number in self._unwilling else early)
        return max(1.0, min(WATCH, ahead))

    async def _refuse(self, row: Row, reason: str) -> float:
        """Give up an offer for a while: another may do."""
        self._refused[row.offer] = self._clock() + REFUSED
        self._log.warning("not leased", label=row.label, reason=one_line(reason))
        return await self._give_up(row, reason)

    async def _give_up(self, row: Row, reason: str, *, lost: bool = False) -> float:
        """Note that a lease shall end; the next step has the network end it."""
        await self._ledger.releasing(row.number, one_line(reason), lost=lost)
        self._log.info("releasing", label=row.label, reason=one_line(reason))
        self.why = reason
        if self._moved_in == row.number:
            await self._move_out()
        for each in (self._trying, self._assured, self._extended):
            each.pop(row.number, None)
        self._unwilling.discard(row.number)
        self._not_before.pop("release", None)
        return 0.0

    async def _move_out(self) -> None:
        self._moved_in, self._home, self._doubted = 0, None, None
        await self._tenant.move_out()


def _pause(failed: int) -> float:
    """Return the seconds to wait after so many failures before: twice as many each time, up to LONGEST."""
    return min(2.0 ** min(failed, 16), LONGEST)
