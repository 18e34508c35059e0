"""Intents, and a committee's members, as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from vagus.daemon.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["intents_table", "members_table", "plain", "route_table"]


def intents_table(intents: Sequence[dict[str, Any]]) -> Table:
    """Return a table of intents as /v1/intents shows them."""
    table = Table(box=None)
    # Fixed, so that on a narrow terminal the answer gives way and no state of an intent.
    for column, width in (("intent", 12), ("origin", 18), ("stage", 9), ("status", 9)):
        table.add_column(column, no_wrap=True, width=width, overflow="ellipsis")
    table.add_column("answer or reason")
    for each in intents:
        said = each["output"] or each["reason"] or ""
        table.add_row(
            plain(each["id"][:12]),
            plain(each["origin"].rpartition(":")[0]),
            plain(each["stage"]),
            plain(each["status"] or ""),
            _line(" ".join(said.split())[:60]),
        )
    return table


def members_table(members: Sequence[dict[str, Any]]) -> Table:
    """Return a table of a committee's other members as /v1/committee shows them."""
    table = Table(box=None)
    for column in ("member", "heard", "version", "clock", "behind", "took part"):
        table.add_column(column, no_wrap=True)
    for each in members:
        heard = "never" if each["heard"] is None else f"{each['heard']:.0f} s ago"
        behind = max(each["lag"].values(), default=None)
        table.add_row(
            plain(each["signer"]),
            heard if each["present"] else f"{heard}, away",
            plain(each["version"] or ""),
            "" if each["clock"] is None else f"{each['clock']:+d} s",
            "" if behind is None else f"{max(behind, 0)} blocks",
            f"{each['took_part']} of {each['of']}",
        )
    return table


def route_table(candidates: Sequence[dict[str, Any]]) -> Table:
    """Return a table of a model's candidates as /v1/route shows them: it fits 80 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("backend", no_wrap=True, max_width=16, overflow="ellipsis")
    parts = ("price", "success", "latency", "verified", "capacity")
    for column in ("score", *parts[:-1], "free", "p50 ms", "p95 ms", "calls"):
        table.add_column(column, no_wrap=True, justify="right")
    for each in candidates:
        seen = each["seen"]
        table.add_row(
            plain(each["backend"]),
            "" if each["price"] is None else f"{each['score']:.3f}",
            *(f"{each['parts'][name]:.2f}" for name in parts),
            *("" if seen[name] is None else str(seen[name]) for name in ("p50_ms", "p95_ms")),
            f"{seen['calls']:.0f}",
        )
    return table


def _line(said: str) -> Text:
    """Return a cell that is cut where there is no room for it, and not wrapped."""
    line = plain(said)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def plain(said: str) -> Text:
    """Return a stranger's words as a table's cell: neither a terminal's codes nor rich's markup."""
    return Text(printable(said))
