"""`vagus leases`: what this node has rented, what it has cost, and to end it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say
from vagus.daemon.cli.offers import offers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.compute.leases.leased import LeasedBackend
    from vagus.compute.leases.records import Row
    from vagus.daemon.config import Settings

__all__ = ["app"]

app = typer.Typer(
    help="Machines that this node rents by the hour: docs/compute.md.", no_args_is_help=True
)

DEFAULT = Path("vagus.toml")
# Seconds for ending leases where no node does it.
PATIENCE = 120.0


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the leases by the node's ledger, and what each backend has spent of its caps.

    Works beside a running node and asks no network.
    """
    import asyncio

    from vagus.daemon.config import load

    settings = load(config)
    shown = asyncio.run(_listed(settings, every))
    if as_json:
        emit(shown)
        return
    for row in shown["leases"]:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row["until"]))
        echo(
            f"{row['number']:>5}  {row['backend']:16} {row['state']:10} {row['gpu']:20} "
            f"{row['hourly_usd']:>8} USD/h  until {when}  {row['reason']}".rstrip()
        )
        if not row["configured"] and row["state"] not in {"released", "lost"}:
            echo(f"{'':7}nobody ends it: no backend {row['backend']} is in the config any more")
    for each in shown["backends"]:
        echo(
            f"{each['backend']}: {each['hour_usd']} of {each['cap_hour_usd']} USD in the last hour, "
            f"{each['day_usd']} of {each['cap_day_usd']} in the last day"
        )
    if not shown["leases"]:
        say("nothing is rented" if not every else "nothing was ever rented")


@app.command()
def release(
    number: Annotated[
        int | None, typer.Argument(help="The lease's number, as `vagus leases list` has it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are not over.")] = False,
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """End a lease: a running node does it within a minute; without one it is done here.

    A backend with `when = "always"` rents another one, while its node runs.
    """
    import asyncio

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.owner import require_node_user

    if (number is None) == (not every):
        raise ConfigError(["name a lease by its number, or give --all"])
    settings = load(config)
    require_node_user(settings)
    marked = asyncio.run(_mark(settings, number))
    left = asyncio.run(_end(settings, marked)) if marked else []
    if as_json:
        emit({"marked": [row.number for row in marked], "left": [row.number for row in left]})
    elif not marked:
        say("nothing is rented")
    elif len(marked) > len(left):
        say(f"{len(marked) - len(left)} on the way out: `vagus leases list` shows what is left")
    if left:
        names = ", ".join(str(row.number) for row in left)
        say(
            f"not ended yet: {names}; the next start of the node goes on with it, or run this again"
        )
        raise typer.Exit(1)


app.command()(offers)


async def _listed(settings: Settings, every: bool) -> dict[str, Any]:
    from vagus.compute.leases.ledger import Ledger
    from vagus.compute.leases.records import FILE
    from vagus.compute.leases.spend import dollars
    from vagus.compute.leases.upkeep import read_books

    backends = _leased(settings)
    rows: tuple[Row, ...] = ()
    if (settings.data / FILE).exists():
        async with Ledger(settings.data, reading=True) as ledger:
            rows = await ledger.recent() if every else await ledger.live()
    spent = []
    for each in backends.values():
        books, plan = await read_books(settings.data, each.name), each.settings.plan()
        spent.append(
            {
                "backend": each.name,
                "hour_usd": f"{dollars(books.hour):.2f}",
                "day_usd": f"{dollars(books.day):.2f}",
                "cap_hour_usd": f"{dollars(plan.cap.hour):.2f}",
                "cap_day_usd": f"{dollars(plan.cap.day):.2f}",
            }
        )
    leases = [
        {
            "number": row.number,
            "label": row.label,
            "backend": row.backend,
            "configured": row.backend in backends,
            "network": row.network,
            "id": row.id,
            "state": str(row.state),
            "gpu": row.gpu,
            "region": row.region,
            "hourly_usd": f"{dollars(row.rate):.2f}",
            "begun": row.begun,
            "until": row.until,
            "reason": row.reason,
        }
        for row in rows
    ]
    return {"leases": leases, "backends": spent}


async def _mark(settings: Settings, number: int | None) -> list[Row]:
    """Note in the ledger that leases shall end, and return them."""
    from vagus.compute.leases.ledger import Ledger
    from vagus.compute.leases.records import FILE
    from vagus.daemon.config import ConfigError

    if not (settings.data / FILE).exists():
        return []
    async with Ledger(settings.data) as ledger:
        live = await ledger.live()
        marked = [row for row in live if number in {None, row.number}]
        if number is not None and not marked:
            raise ConfigError([f"no lease {number} is running; `vagus leases list` has them"])
        for row in marked:
            await ledger.releasing(row.number, "released by hand")
        return marked


async def _end(settings: Settings, marked: list[Row]) -> list[Row]:
    """Have the marked ended, by the node that runs or here; return what is left."""
    import asyncio

    from vagus.daemon.journal.lock import data_folder, holder

    if process := holder(settings.data):
        say(f"the node, process {process}, ends {len(marked)} within a minute")
        return []
    backends = _leased(settings)
    of: dict[str, list[Row]] = {row.backend: [] for row in marked}
    for row in marked:
        of[row.backend].append(row)
    with data_folder(settings.data):
        async with asyncio.TaskGroup() as group:  # one network that is silent holds up no other
            tasks = [
                group.create_task(_end_of(name, backends.get(name), settings.data, rows), name=name)
                for name, rows in of.items()
            ]
    return [row for task in tasks for row in task.result()]


async def _end_of(
    name: str, backend: LeasedBackend | None, data: Path, marked: Sequence[Row]
) -> Sequence[Row]:
    """Have one backend's marked leases ended, and say how it went; return what is left."""
    from vagus.compute.leases.upkeep import end
    from vagus.protocol import VagusError

    if backend is None:
        say(f"no backend {name} is in the config: put its table back, or end it by hand")
        return marked
    say(f"ending what {name} has rented …")
    try:
        left = await end(backend, data, seconds=PATIENCE)
    except VagusError as error:
        say(f"{name}: {error}")
        return marked
    say(f"{name}: {f'{len(left)} not ended yet' if left else 'all ended'}")
    return left


def _leased(settings: Settings) -> dict[str, LeasedBackend]:
    """Return the config's backends that rent; of the others only the kind is looked at."""
    from vagus.compute.leases.leased import LeasedBackend
    from vagus.compute.registry import backend_class
    from vagus.daemon.config import backend_of

    found: dict[str, LeasedBackend] = {}
    for at, table in enumerate(settings.backends):
        if issubclass(backend_class(str(table.get("kind", ""))), LeasedBackend):
            backend = backend_of(table, f"{settings.file}: backends.{at}")
            if isinstance(backend, LeasedBackend):
                found[backend.name] = backend
    return found
