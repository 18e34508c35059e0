"""What a member says of itself each few seconds: its version and clock, its chains, what it can still pay."""

from __future__ import annotations

import importlib.metadata
import time
from typing import TYPE_CHECKING

from vagus.daemon.survey import runway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vagus.daemon.network import Network
    from vagus.daemon.survey import Survey
    from vagus.protocol import Json

__all__ = ["Beat"]

# How rich an account is beyond that, is nobody's to know.
_PLENTY = 10_000


class Beat:
    """This node's heartbeat; `costs` is what its transactions cost at most, by chain (CAIP-2)."""

    def __init__(self, network: Network, survey: Survey, costs: Mapping[str, int]) -> None:
        self._network = network
        self._survey = survey
        self._costs = costs
        self._version = importlib.metadata.version("vagus")

    def told(self) -> dict[str, Json]:
        """Return it: by chain the newest and the final block, and how many transactions can be paid.

        `runway` is None until the first was sent, and 10,000 at most.
        """
        heads = {each.chain: each.heads for each in self._network.adapters}
        return {
            "version": self._version,
            "time": int(time.time()),
            "chains": {
                chain: None
                if head is None
                else {
                    "latest": head.latest.height,
                    "final": head.final.height,
                    "runway": self._runway(chain),
                }
                for chain, head in heads.items()
            },
        }

    def _runway(self, chain: str) -> int | None:
        found = runway(self._survey.balances.get(chain), self._costs.get(chain))
        return None if found is None else min(found, _PLENTY)
