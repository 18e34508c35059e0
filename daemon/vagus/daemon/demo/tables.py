"""The demo's live table and its summary."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table

from vagus.daemon.tables import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vagus.daemon.demo.cases import Case

__all__ = ["print_summary", "progress_table"]


def progress_table(cases: Sequence[Case]) -> Table:
    """Return the table of where each intent stands at the node."""
    table = Table(box=None)
    for column in ("intent", "stage", "status", "seconds", "answer or reason"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for case in cases:
        seen = case.seen or {}
        stage = seen.get("stage") or ("asked" if case.asked else "to be asked")
        said = " ".join((seen.get("output") or seen.get("reason") or "").split())
        seconds = f"{case.seconds:.1f}" if case.asked else ""
        table.add_row(case.title, stage, seen.get("status") or "", seconds, plain(said[:60]))
    return table


def print_summary(
    console: Console,
    report: dict[str, Any],
    cases: Sequence[Case],
    histories: Sequence[Sequence[dict[str, Any]]],
) -> None:
    """Print how each intent ended, the seconds per stage, the fees, and what went wrong."""
    table = Table(title="How they ended, as the chains say", title_justify="left", box=None)
    for column in ("intent", "end", "seconds", "answer"):
        table.add_column(column, no_wrap=True)
    txs = Table(title="Their transactions", title_justify="left", box=None, show_header=False)
    for case, end in zip(cases, report["intents"], strict=True):
        answer = " ".join((end["output"] or "").split())[:32]
        noted = ", callback failed" if (case.seen or {}).get("callback_failed") else ""
        table.add_row(case.title, end["status"] + noted, f"{end['seconds']:.1f}", plain(answer))
        for name, key in (("delivered", "deliver_tx"), ("settled", "settle_tx")):
            if end[key]:
                txs.add_row(f"{name} {case.title}\n  {end[key]}")
    console.print(table)
    console.print(txs)
    console.print(_stages(histories))
    fees = sum(int((case.seen or {}).get("fee") or 0) for case in cases)
    escrowed = sum(case.fee for case in cases)
    console.print(
        f"fees settled {fees} wei, returned to the requester {escrowed - fees} wei", soft_wrap=True
    )
    for fault in report["wrong"]:
        console.print("[red]wrong[/red]", plain(fault))
    console.print("ok" if report["ok"] else "[red]not ok[/red]")


def _stages(histories: Sequence[Sequence[dict[str, Any]]]) -> Table:
    """Return the seconds that passed before each stage, over the intents that came to it."""
    spent: dict[str, list[float]] = defaultdict(list)
    for history in histories:
        for before, after in pairwise(history):
            spent[after["stage"]].append(after["at"] - before["at"])
    table = Table(title="Seconds before each stage", title_justify="left", box=None)
    for column in ("stage", "intents", "median", "longest"):
        table.add_column(column)
    for stage, seconds in spent.items():
        row = (str(len(seconds)), f"{median(seconds):.2f}", f"{max(seconds):.2f}")
        table.add_row(stage, *row)
    return table
