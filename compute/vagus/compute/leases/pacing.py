"""When what failed is tried again: not before its time, which grows with each failure."""

from collections.abc import Awaitable, Callable

import structlog

from vagus.compute.bounds import one_line
from vagus.protocol import Refuse, Retry

__all__ = ["LONGEST", "REFUSED", "Pacing"]

# Seconds: the longest pause after what may succeed later, and that after a no that only a person or the
# market can change.
LONGEST = 60.0
REFUSED = 300.0


class Pacing:
    """The parts of a backend's work, by name. fails: is told the part and, in words, why it failed."""

    def __init__(
        self, backend: str, clock: Callable[[], float], fails: Callable[[str, str], None]
    ) -> None:
        self._clock = clock
        self._fails = fails
        self._not_before: dict[str, tuple[float, int]] = {}
        self._log = structlog.get_logger("vagus.compute").bind(backend=backend)

    def at_once(self, what: str) -> None:
        """Let a part be tried again now, whatever happened to it before."""
        self._not_before.pop(what, None)

    async def attempt(self, what: str, part: Callable[[], Awaitable[float]]) -> float:
        """Do a part whose time has come; return the seconds until its next time."""
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
            self.at_once(what)
            return delay
        self._fails(what, reason)
        if not failed:
            self._log.warning("lease", doing=what, reason=one_line(reason), again_in=delay)
        self._not_before[what] = (self._clock() + delay, failed + 1)
        return delay


def _pause(failed: int) -> float:
    """Return the seconds to wait after so many failures before: twice as many each time, up to LONGEST."""
    return min(2.0 ** min(failed, 16), LONGEST)
