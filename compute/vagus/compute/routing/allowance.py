"""A share of all calls that may do more than others: hedge, explore."""

__all__ = ["SAVED", "Allowance"]

# How many may be saved up: slowness comes in bursts.
SAVED = 10.0


class Allowance:
    """Never more than `share` of the calls so far beside what it begins with, and few at once."""

    __slots__ = ("_left", "_share")

    def __init__(self, share: float, begins: float = 0.0) -> None:
        self._share = share
        self._left = begins

    def earn(self) -> None:
        """Count a call."""
        self._left = min(SAVED, self._left + self._share)

    @property
    def enough(self) -> bool:
        """Whether one may be taken now."""
        # Twenty times 0.05 is a little under 1.
        return self._left >= 1 - 1e-9

    def take(self) -> bool:
        """Take one, where it is there."""
        if not self.enough:
            return False
        self._left -= 1
        return True
