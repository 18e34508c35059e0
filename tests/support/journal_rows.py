"""What a journal holds of one settled intent, counted: the same for a benchmark and for a node."""

import sqlite3
from pathlib import Path

SETTLED = 9
# What a node writes of an intent that is delivered and settled: each stage once, a transaction
# for each lane, the evidence. The benchmark and a node are held to the same.
SETTLED_ROWS = {
    "intents": 1,
    **{f"history {stage}": 1 for stage in range(1, 10)},
    "txs deliver final": 1,
    "txs settle final": 1,
    "lanes": 2,
    "evidence": 1,
}


def rows_per_intent(path: Path) -> dict[str, int]:
    """Count the rows of a settled intent by table, and by stage or kind where a table has one.

    Raises AssertionError where two settled intents of the journal differ.
    """
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        settled = db.execute("SELECT key FROM intents WHERE stage=?", (SETTLED,)).fetchall()
        assert settled, "the journal has no settled intent"
        first, *others = [_rows(db, key) for (key,) in settled]
    finally:
        db.close()
    for other in others:
        assert other == first
    return first


def _rows(db: sqlite3.Connection, key: int) -> dict[str, int]:
    rows = {"intents": 1}
    counts = "SELECT stage, COUNT(*) FROM history WHERE intent=? GROUP BY stage"
    for stage, count in db.execute(counts, (key,)):
        rows[f"history {stage}"] = count
    counts = "SELECT kind, stage, COUNT(*) FROM txs WHERE intent=? GROUP BY kind, stage"
    for kind, stage, count in db.execute(counts, (key,)):
        rows[f"txs {kind} {stage}"] = count
    lanes = (
        "SELECT COUNT(DISTINCT lane) FROM lanes WHERE lane IN (SELECT lane FROM txs WHERE intent=?)"
    )
    rows["lanes"] = db.execute(lanes, (key,)).fetchone()[0]
    # The evidence's hash is the attestation's seventh word.
    proof = "SELECT COUNT(*) FROM evidence WHERE hash=(SELECT substr(attestation, 193, 32) FROM intents WHERE key=?)"
    rows["evidence"] = db.execute(proof, (key,)).fetchone()[0]
    return rows
