"""A network whose first answer to a rent never comes, while the machine does."""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from vagus.compute.client import Endpoint
from vagus.compute.leases.base import Lease, Provisioner, Quote, Want
from vagus.compute.leases.conformance.rental import Clock, Rental
from vagus.protocol import Retry

__all__ = ["Late"]


class Late(Provisioner):
    """Another provisioner, whose `lease` gets no answer and is done so many seconds later."""

    def __init__(self, make: Callable[[], Provisioner], clock: Clock, after: float) -> None:
        self._inner = make()
        self.network = self._inner.network
        self._make = make
        self._clock = clock
        self._after = after
        self._due: tuple[float, Quote, str, str] | None = None
        self.did = False

    def rental(self, rental: Rental) -> Rental:
        """Return a rental by this provisioner, which stays the same from life to life."""
        return replace(rental, make=lambda: self)

    async def __aenter__(self) -> Self:
        self._inner = await self._make().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return what there is."""
        return await self._inner.quote(want)

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Ask, and hear nothing."""
        self._due = (self._clock.now + self._after, quote, label, api_key)
        raise Retry("no answer", self._inner.settles)

    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return where the server is."""
        return await self._inner.ready(lease)

    async def renew(self, lease: Lease, ends: float) -> Lease:
        """Let it last."""
        return await self._inner.renew(lease, ends)

    async def release(self, lease: Lease) -> None:
        """End it."""
        await self._inner.release(lease)

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        """List what is rented, what the network has been busy with too once its time has come."""
        while self._due is not None and self._clock.now >= self._due[0]:
            try:
                await self._inner.lease(*self._due[1:])
            except Retry:
                self._clock.sleep(3)  # bids come one by one
            else:
                self._due, self.did = None, True
        return await self._inner.owned(prefix)
