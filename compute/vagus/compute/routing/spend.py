"""What a run may spend on models, so that calls at the same time can't pass it together."""

from collections.abc import Awaitable, Callable

from vagus.compute.price import Price
from vagus.protocol import Refuse

__all__ = ["Spend"]


class Spend:
    """A limit in the smallest unit of account, None for none, and what is used or held of it.

    Before a try its worst case is held; once it has ended, what it cost is used instead. `keep` makes
    durable what is used and held by then: awaited before a try is sent, it outlives whoever holds it.
    most: nobody is asked whose tokens cost more, however much is left.
    """

    __slots__ = ("_keep", "limit", "most", "used")

    def __init__(
        self,
        limit: int | None = None,
        keep: Callable[[int], Awaitable[None]] | None = None,
        most: Price | None = None,
    ) -> None:
        self.limit = limit
        self.most = most
        self.used = 0
        self._keep = keep

    def pays(self, price: Price) -> bool:
        """Whether tokens may cost so much."""
        return self.most is None or price.within(self.most)

    def bears(self, amount: int) -> bool:
        """Whether so much is left."""
        return self.limit is None or self.used + amount <= self.limit

    def hold(self, amount: int) -> None:
        """Hold an amount. Raises Refuse where so much is not left."""
        if not self.bears(amount):
            raise Refuse(f"the budget of {self.limit} for compute does not bear {amount} more")
        self.used += amount

    async def kept(self) -> None:
        """Return once what is used and held is kept, where anybody keeps it. Raises as that does."""
        if self._keep is not None:
            await self._keep(self.used)

    def settle(self, held: int, cost: int) -> None:
        """Replace what was held by what it cost."""
        self.used += cost - held
