"""Intents as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["intents_table"]


def intents_table(intents: Sequence[dict[str, Any]]) -> Table:
    """Return a table of intents as /v1/intents shows them."""
    table = Table(box=None)
    for column, width in (("intent", 12), ("origin", 12), ("stage", 9), ("status", 9)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("answer or reason", no_wrap=True, overflow="ellipsis")
    for each in intents:
        said = each["output"] or each["reason"] or ""
        table.add_row(
            each["id"][:12],
            each["origin"].rpartition(":")[0],
            each["stage"],
            each["status"] or "",
            _plain(" ".join(said.split())[:60]),
        )
    return table


def _plain(said: str) -> Text:
    """Return a stranger's words without what would steer a terminal: codes, and rich's markup."""
    return Text("".join(each for each in said if each.isprintable()))
