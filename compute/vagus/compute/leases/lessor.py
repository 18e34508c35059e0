"""Keeps one machine rented while it is needed, and none when it is not: the ledger first, always.

The lessor is the one place that asks a network again. `step` looks at the ledger and does what comes
next; it holds nothing that a crash could take: what is in memory only says when to look again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from vagus.compute.bounds import one_line
from vagus.compute.leases.base import Provisioner, Want, span
from vagus.compute.leases.clock import Steady
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.pacing import LONGEST, REFUSED, Pacing
from vagus.compute.leases.records import Row, State
from vagus.compute.leases.renewals import Renewals
from vagus.compute.leases.spend import HOUR, Cap, micros
from vagus.compute.leases.sweeper import Sweeper
from vagus.compute.leases.tenancy import Tenancy, Tenant
from vagus.protocol import Refuse, Retry

__all__ = ["Lessor", "Plan"]

# Seconds: between two lists of all that is rented, between two looks at what serves or waits.
SWEEP = 600.0
WATCH = 30.0
# Before the paid time is over, for ending what some networks would go on charging for.
SPARE = 120.0


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


class Lessor:
    """The leases of one backend. `why` says in words why there is none that serves.

    clock: Unix seconds that no one sets, a `Steady` of its own unless given.
    """

    def __init__(
        self,
        provisioner: Provisioner,
        ledger: Ledger,
        plan: Plan,
        tenant: Tenant,
        clock: Callable[[], float] | None = None,
    ) -> None:
        clock = Steady() if clock is None else clock
        self._provisioner = provisioner
        self._ledger = ledger
        self._plan = plan
        self._clock = clock
        self._pacing = Pacing(plan.backend, clock, self._failed)
        self._tenancy = Tenancy(tenant, provisioner, ledger.key, clock)
        self._renewals = Renewals(provisioner, ledger, plan.backend, plan.want, plan.cap)
        self._sweeper = Sweeper(
            provisioner, ledger, plan.backend, micros(plan.want.max_hourly), clock
        )
        self._wake = asyncio.Event()
        self._needed = clock()
        self._needed_ever = False
        self._swept: float | None = None
        self._began = clock()
        self._shape = ledger.shape(plan.want)
        self._trying: dict[int, float] = {}
        self._refused: dict[str, float] = {}
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
        if self._tenancy.doubt():
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
            await self._pacing.attempt("sweep", self._sweep),
            await self._pacing.attempt("release", self._release),
            await self._pacing.attempt("keep", self._keep),
        ]
        return max(0.0, min(delays))

    async def stop(self) -> bool:
        """Ask for the end of all leases; say whether all are over."""
        for row in await self._ledger.live(self._plan.backend):
            await self._ledger.releasing(row.number, "the node was stopped")
        await self._tenancy.move_out()
        return await self.release()

    async def release(self) -> bool:
        """Ask for the end of what is marked for it; say whether all of that is over."""
        self._pacing.at_once("release")
        await self._pacing.attempt("release", self._release)
        live = await self._ledger.live(self._plan.backend)
        return not any(row.state == State.RELEASING for row in live)

    def _failed(self, what: str, reason: str) -> None:
        if what == "keep" or self._swept is None:
            self.why = reason

    async def _sweep(self) -> float:
        """Compare the network's list with the ledger, now and then."""
        now = self._clock()
        if self._swept is not None and (rest := self._swept + SWEEP - now) > 0:
            return rest
        await self._sweeper.sweep()
        self._swept = now
        self._pacing.at_once("release")
        return SWEEP

    async def _release(self) -> float:
        """End what is to end, once nobody lives there any more."""
        for row in await self._ledger.live(self._plan.backend):
            if row.state == State.RELEASING and self._tenancy.number == row.number:
                await self._tenancy.move_out()
        await self._sweeper.release()
        return SWEEP

    async def _keep(self) -> float:
        """Bring the backend's lease one step on, or begin one."""
        live = await self._ledger.live(self._plan.backend)
        rows = [row for row in live if row.state != State.RELEASING]
        for row in rows[:-1]:
            await self._give_up(row, "there is a later one")
        if not rows:
            if self._tenancy.number:
                await self._tenancy.move_out()
            # One machine at a time: what is not known to have ended may still cost.
            return await self._begin() if self._wanted() and not live else WATCH
        row = rows[-1]
        now = self._clock()
        # Hours that are paid come back to nobody: they are kept for whoever asks next.
        if not self._wanted() and not (row.prepaid and row.state == State.SERVING):
            return await self._give_up(row, "nobody needs it")
        if row.shape not in {"", self._shape}:
            return await self._give_up(row, "the config wants another machine by now")
        if now >= row.until - SPARE:
            return await self._give_up(row, "the time that is paid is over")
        if row.state in {State.INTENDED, State.ASKED}:
            return await self._ask(row)
        if self._tenancy.number != row.number or self._tenancy.doubted is not None:
            return await self._look(row)
        due = await self._renewals.renew(row, int(now), wanted=self._wanted())
        return max(1.0, min(WATCH, due))

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
            return await self._give_up(
                row, "the config wants other hours, or a lower price, by now"
            )
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
        self._renewals.assure(row)
        self._log.info("leased", label=row.label, id=lease.id, gpu=row.gpu)
        return 0.0

    def _fits(self, row: Row) -> bool:
        """Say whether a lease was booked for the hours, and within the price, that are wanted now."""
        want = self._plan.want
        return row.until - row.begun == span(want) and row.rate <= micros(want.max_hourly)

    async def _look(self, row: Row) -> float:
        """Ask the machine's server for a completion: the only readiness that counts."""
        since, patience = self._trying.setdefault(row.number, self._clock()), self._plan.start
        if self._tenancy.doubted is not None:
            since, patience = self._tenancy.doubted, self._plan.gone
        try:
            await self._tenancy.move_in(row)
        except Retry as error:
            if self._clock() > since + patience:
                return await self._give_up(row, f"it does not serve: {error.reason}", lost=True)
            raise
        except Refuse as error:
            return await self._give_up(row, error.reason, lost=True)
        self._trying.pop(row.number, None)
        await self._ledger.serving(row.number)
        self._log.info("serving", label=row.label)
        self.why = ""
        return 0.0

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
        if self._tenancy.number == row.number:
            await self._tenancy.move_out()
        self._trying.pop(row.number, None)
        self._renewals.forget(row.number)
        self._pacing.at_once("release")
        return 0.0
