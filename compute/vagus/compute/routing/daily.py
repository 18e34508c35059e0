"""What may be spent within any 24 hours, in the smallest unit of account."""

from collections import deque

__all__ = ["Daily"]

DAY = 86400.0


class Daily:
    """Sums reserved one after the other; None for a limit bounds nothing. Times are of one clock."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._reserved: deque[tuple[float, int]] = deque()
        self._sum = 0

    def reserve(self, cost: int, now: float) -> bool:
        """Reserve a cost where it is within the limit; say whether it was."""
        if self._limit is None:
            return True
        while self._reserved and self._reserved[0][0] <= now - DAY:
            self._sum -= self._reserved.popleft()[1]
        if self._sum + cost > self._limit:
            return False
        self._reserved.append((now, cost))
        self._sum += cost
        return True
