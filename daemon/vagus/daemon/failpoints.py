"""Named points at which a test ends the node by SIGKILL: what a crash there leaves must suffice.

`VAGUS_FAILPOINT=name` arms one. Unarmed, a point costs one comparison.
"""

import os
import signal

__all__ = ["FAILPOINTS", "failpoint"]

FAILPOINTS = (
    "observed",
    "final",
    "routed",
    "executed",
    "attested",
    "deliver-built",
    "deliver-broadcast",
    "confirmed",
    "settle-built",
    "settle-broadcast",
)

_armed = os.environ.get("VAGUS_FAILPOINT", "")


def failpoint(name: str) -> None:
    """End this process as `kill -9` would, if `name` is armed."""
    if name == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
