"""Who uses a rented machine, and where: a completion is the only proof that it serves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from vagus.compute.client import Endpoint
from vagus.compute.leases.base import Provisioner
from vagus.compute.leases.records import Row
from vagus.protocol import Refuse, Retry

__all__ = ["Tenancy", "Tenant"]


class Tenant(Protocol):
    """Who uses the machine."""

    async def move_in(self, endpoint: Endpoint) -> None:
        """Take a completion from a server and use it from then on. Raises Retry or Refuse."""

    async def move_out(self) -> None:
        """Use it no more."""


class Tenancy:
    """Where the tenant lives: `number` is the lease's, 0 for nowhere; `doubted` since when it may not serve.

    key: returns the API key of a server by its lease's label.
    """

    def __init__(
        self,
        tenant: Tenant,
        provisioner: Provisioner,
        key: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._provisioner = provisioner
        self._key = key
        self._clock = clock
        self._home: Endpoint | None = None
        self.number = 0
        self.doubted: float | None = None

    def doubt(self) -> bool:
        """Note that the server has failed; say whether that is new."""
        if self.doubted is not None:
            return False
        self.doubted = self._clock()
        return True

    async def move_in(self, row: Row) -> None:
        """Have the tenant served, where it lives already or where the network says. Raises Retry, Refuse."""
        await self._greet(row)
        self.number, self.doubted = row.number, None

    async def move_out(self) -> None:
        """Have it live nowhere."""
        self.number, self._home, self.doubted = 0, None, None
        await self._tenant.move_out()

    async def _greet(self, row: Row) -> None:
        if self.number == row.number and self._home is not None:
            try:
                return await self._tenant.move_in(self._home)
            except (Retry, Refuse):
                pass  # it may have moved, or be gone: the network knows
        endpoint = await self._provisioner.ready(row.lease)
        if endpoint is None:
            raise Retry("its server has no address yet", 5.0)
        if endpoint.api_key is None:
            endpoint = replace(endpoint, api_key=self._key(row.label))
        try:
            await self._tenant.move_in(endpoint)
        except Refuse as error:
            # A gateway says 404 for a server that is not up yet.
            raise Retry(error.reason, 5.0) from None
        self._home = endpoint
        return None
