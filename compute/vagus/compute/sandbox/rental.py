"""What the sandboxes of networks that rent machines have alike: machines, credit, and time that passes."""

import abc
import secrets
import time
from decimal import Decimal
from types import TracebackType

from aiohttp import web

from vagus.compute.sandbox.base import ApiError, Sandbox
from vagus.compute.sandbox.machine import Machines

__all__ = ["RentalSandbox"]


class RentalSandbox(Sandbox):
    """A network with one account. `credit` is what that has left, in USD.

    ahead: seconds that the network's clock is before this machine's. What the network's own books say is
    what a provisioner is held to, so these are read from its state and asked of nobody.
    """

    def __init__(self, *, port: int = 0, upstream: str | None = None) -> None:
        super().__init__(port=port, upstream=upstream)
        self.machines = Machines(upstream)
        self.credit = Decimal(100)
        self.ahead = 0.0

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The API first: a call under way could start another machine.
        await super().__aexit__(kind, error, trace)
        await self.machines.close()

    def endow(self, credit: Decimal) -> None:
        """Give the account so many USD."""
        self.credit = credit

    @property
    def now(self) -> float:
        """The network's time, Unix seconds."""
        return time.time() + self.ahead

    @abc.abstractmethod
    def rented(self) -> dict[str, str]:
        """Return all that may cost money now: the label that it was rented under, by the network's id."""

    @abc.abstractmethod
    async def charged(self) -> Decimal:
        """Return what the network has taken until now and not given back, in USD."""

    @abc.abstractmethod
    async def lose(self, ident: str) -> None:
        """Let a machine be gone, as one whose owner pulled the plug; the network may not know."""

    def check_key(self, request: web.Request, said: str) -> None:
        """Raise ApiError, 401 with these words, for a caller without the account's `x-api-key`."""
        given = request.headers.get("x-api-key", "").encode()
        if not secrets.compare_digest(given, self.api_key.encode()):
            raise ApiError(401, said)
