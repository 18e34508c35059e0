"""A node's time for its leases, which nobody who sets the machine's clock can move."""

import time

__all__ = ["Steady"]


class Steady:
    """Unix seconds as they were at the start, and what has passed since, suspended or not.

    An hour that the clock is set ahead would else free an hour of a cap, and end what is paid for. The
    next start reads the machine's clock anew.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - _passed()

    def __call__(self) -> float:
        """Return the time."""
        return self._ahead + _passed()


def _passed() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
