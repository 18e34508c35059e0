"""Whether the demo's nodes left the sellers that broke, and bought of others at a price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.demo.cases import Case

__all__ = ["faults", "still_asked"]


def faults(
    rows: Sequence[dict[str, Any]],
    cases: Sequence[Case],
    intents: Sequence[dict[str, Any]],
) -> list[str]:
    """Return what is wrong, in words.

    rows: as `bought` returns them. intents: as shown of the cases, in their order, with their calls.
    """
    wrong = []
    for case, shown in zip(cases, intents, strict=True):
        if not case.broken:
            continue
        by = {call["backend"] for call in shown["calls"]}
        if not by or case.broken in by:
            wrong.append(f"{case.title}: answered by {', '.join(sorted(by)) or 'nobody'}")
    for seller in dict.fromkeys(case.broken for case in cases if case.broken):
        mine = [row for row in rows if row["backend"] == seller]
        if not mine:
            wrong.append(f"no node knows {seller}")
        wrong += [f"node {row['node']}: {said}" for row in mine if (said := _not_left(row, rows))]
    for row in rows:
        if row.get("served") and (row["price"] is None or int(row["cost"]) <= 0):
            wrong.append(f"node {row['node']}: what {row['backend']} served has no price or cost")
    return wrong


def still_asked(seller: str, rows: Sequence[dict[str, Any]]) -> bool:
    """Return whether a node that buys of a liar has not left it. rows: as `bought` returns them."""
    return any(row["backend"] == seller and not _outvoted(row, rows) for row in rows)


def _not_left(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Return how a broken seller was not left: a liar is to be outvoted, who is gone to have failed."""
    if row["backend"] == "gpunet" and not _outvoted(row, rows):
        return f"gpunet has another model, and is {row['state']}, not quarantined"
    if row["backend"] == "akash" and row["state"] != "out" and not row.get("failed"):
        return "akash is gone, and was not asked since"
    return ""


def _outvoted(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a liar is quarantined, or scores under the node's own model since its answers were outvoted.

    Two that are outvoted may be enough for the score, and then no third shows it.
    """
    if row["state"] == "quarantined":
        return True
    own = [each for each in rows if (each["node"], each["backend"]) == (row["node"], "local")]
    return any(
        row["verified"] < each["verified"] and row["score"] < each["score"]
        for each in own
        if "score" in each and "score" in row
    )
