"""The demo's live table and its summary."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
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
    if "compute" in report:
        console.print(_served(cases, report["intents"]))
        console.print(_sellers(report["compute"]))
    for origin in dict.fromkeys(case.origin for case in cases):
        mine = [case for case in cases if case.origin == origin]
        fees = sum(int((case.seen or {}).get("fee") or 0) for case in mine)
        escrowed = sum(case.fee for case in mine)
        chain = next((each.seen["origin"] for each in mine if each.seen), "a chain")
        said = f"{chain}: fees settled {fees}, returned to the requester {escrowed - fees}"
        console.print(said, soft_wrap=True)
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


def _served(cases: Sequence[Case], intents: Sequence[dict[str, Any]]) -> Table:
    """Return who answered the model calls of each delivered answer, as its evidence says."""
    table = Table(
        title="Whose models answered, as the evidence says", title_justify="left", box=None
    )
    for column in ("intent", "served by", "network", "region", "cost"):
        table.add_column(column, no_wrap=True)
    for case, shown in zip(cases, intents, strict=True):
        for call in shown["calls"]:
            row = (call["backend"], call["network"], call["region"], _coin(call["cost"]))
            table.add_row(case.title, *map(plain, row))
    return table


def _sellers(rows: Sequence[dict[str, Any]]) -> Table:
    """Return what each node's backends came to."""
    title = "What each node bought, since its start; prices are for a million tokens written"
    table = Table(title=title, title_justify="left", box=None)
    for column in (
        "node",
        "backend",
        "network",
        "served",
        "failed",
        "cost",
        "price",
        "state",
        "why",
    ):
        table.add_column(column, no_wrap=column != "why", overflow="fold")
    for row in rows:
        price = "" if not row.get("price") else _coin(row["price"]["output"])
        cells = [str(row["node"]), row["backend"], row.get("network", "")]
        cells += [str(row.get("served", "")), str(row.get("failed", ""))]
        cells += [_coin(row["cost"]) if "cost" in row else "", price, row["state"], row["reason"]]
        table.add_row(*map(plain, cells))
    return table


def _coin(amount: str) -> str:
    """Return an amount of smallest units as units of account, short."""
    return f"{Decimal(amount).scaleb(-18):.3g}"
