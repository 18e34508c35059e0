"""Intents as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from vagus.daemon.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["intents_table", "plain"]


def intents_table(intents: Sequence[dict[str, Any]]) -> Table:
    """Return a table of intents as /v1/intents shows them."""
    table = Table(box=None)
    for column, width in (("intent", 12), ("origin", 12), ("stage", 9), ("status", 9)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("answer or reason", no_wrap=True, overflow="ellipsis")
    for each in intents:
        said = each["output"] or each["reason"] or ""
        table.add_row(
            plain(each["id"][:12]),
            plain(each["origin"].rpartition(":")[0]),
            plain(each["stage"]),
            plain(each["status"] or ""),
            plain(" ".join(said.split())[:60]),
        )
    return table


def plain(said: str) -> Text:
    """Return a stranger's words as a table's cell: neither a terminal's codes nor rich's markup."""
    return Text(printable(said))
