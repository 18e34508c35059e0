"""What a run may spend on models, so that calls at the same time can't pass it together."""

from vagus.protocol import Refuse

__all__ = ["Spend"]


class Spend:
    """A limit in the smallest unit of account, None for none, and what is used or held of it.

    Before a try its worst case is held; once it has ended, what it cost is used instead.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.used = 0

    def bears(self, amount: int) -> bool:
        """Whether so much is left."""
        return self.limit is None or self.used + amount <= self.limit

    def hold(self, amount: int) -> None:
        """Hold an amount. Raises Refuse where so much is not left."""
        if not self.bears(amount):
            raise Refuse(f"the budget of {self.limit} for compute does not bear {amount} more")
        self.used += amount

    def settle(self, held: int, cost: int) -> None:
        """Replace what was held by what it cost."""
        self.used += cost - held
