"""Where intents stood when the node was killed, by the journal's own history."""

import bisect
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from vagus.daemon.journal.records import Stage

__all__ = ["interrupted"]

# Each stage of each intent, since when it stood there, and until when: for ever, if it is the newest.
_STAYS = """
SELECT stage, at, LEAD(at, 1, 9e999) OVER (PARTITION BY intent ORDER BY key) FROM history
"""


def interrupted(journal: Path, kills: Sequence[float]) -> Counter[str]:
    """Count, by stage, the times that a kill found an intent there; kills are the node's clock.

    The node must not run. A move that a kill took back is in no history, and counts for nothing.
    """
    times, found = sorted(kills), Counter[str]()
    with closing(sqlite3.connect(journal)) as db:
        for stage, since, until in db.execute(_STAYS):
            if hits := bisect.bisect_left(times, until) - bisect.bisect_right(times, since):
                found[Stage(stage).name.lower()] += hits
    return Counter({name: count for name, count in found.items() if not Stage[name.upper()].ended})
