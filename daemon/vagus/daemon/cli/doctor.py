"""`vagus check`, `vagus doctor` and `vagus resume`: is all well, and what to do where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, asking, echo, emit, say
from vagus.daemon.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.daemon.doctor.finding import Finding
    from vagus.daemon.journal.records import Halted

__all__ = ["add_to"]

DEFAULT = Path("vagus.toml")
_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(check)
    app.command()(doctor)
    app.command()(resume)


def check(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Look at the config and the key files alone: nobody is asked, nothing is written.

    Ends with 0 where nothing fails, else with 1. `vagus run` refuses what fails here.
    """
    from vagus.daemon.doctor.config import look_at
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what would be logged is a line of the report
    findings = look_at(config).findings
    if not as_json:
        for each in findings:
            _print(each)
    _end(findings, as_json)


def doctor(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Look at all that a node needs: config, endpoints, hubs, coins, clock, disk, models.

    Works beside a running node and changes nothing. Ends with 0 where nothing fails, else with 1.
    """
    import uvloop

    from vagus.daemon.doctor.report import examine
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what an adapter would log is a line of the report
    report = (lambda _: None) if as_json else _print
    _end(uvloop.run(examine(config, report, say)), as_json)


def resume(
    chain: Annotated[str, typer.Argument(help="The halted chain, as eip155:1.")],
    config: ConfigOption = DEFAULT,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: you have looked, or no terminal is there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back a chain's halt, once you have looked at the chain. The node must be stopped.

    Stop the node, correct the config if its endpoints were wrong, resume the chain, start the node.
    At that start the node reads the chain's hub again from its deployment on. Intents whose
    block is gone are left; those whose transactions are gone are delivered or settled again.
    """
    import uvloop

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.journal.lock import DataInUseError, data_folder
    from vagus.daemon.owner import require_node_user

    settings = load(config)
    require_node_user(settings)
    known = [str(table.get("id")) for table in settings.chains]
    if chain not in known:
        raise ConfigError([f"{chain} is not in the config, which has {', '.join(known)}"])

    journal = settings.data / "journal.sqlite"
    halted = None
    if journal.exists():
        try:
            with data_folder(settings.data):
                halted = uvloop.run(_halt_of(journal, chain))
                if halted is not None:
                    _ask_to_resume(halted, yes)
                    uvloop.run(_resume(journal, chain))
        except DataInUseError as error:
            raise DataInUseError(
                f"{error}; or have the node do it: POST /v1/chains/{chain}/resume with a token"
            ) from None
    if as_json:
        emit({"chain": chain, "resumed": halted is not None})
    elif halted is None:
        say(f"{chain} is not halted: nothing was changed")
    else:
        say(f"resumed; start the node: vagus run --config {config}")


async def _halt_of(path: Path, chain: str) -> Halted | None:
    from vagus.daemon.journal.sqlite import SqliteJournal

    async with SqliteJournal(path) as journal:
        return next((each for each in await journal.halts() if each.chain == chain), None)


async def _resume(path: Path, chain: str) -> None:
    from vagus.daemon.journal.sqlite import SqliteJournal

    async with SqliteJournal(path) as journal:
        await journal.resume(chain)


def _ask_to_resume(halted: Halted, yes: bool) -> None:
    """Say why a chain is halted; end the command unless a person says yes."""
    import time

    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(halted.at))
    say(f"{halted.chain} was halted on {when}: {halted.reason}")
    if yes:
        return
    say("Have you looked at the chain, and do you trust the endpoints in the config?")
    with asking(f"{halted.chain} stays halted: answer y, or give --yes where nobody can"):
        wanted = typer.confirm("Resume", err=True)
    if not wanted:
        say(f"{halted.chain} stays halted")
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    verdict = typer.style(f"{finding.verdict:4}", fg=_COLORS[finding.verdict])
    typer.echo(f"{verdict}  {printable(f'{finding.name}: {finding.finding}')}")
    if finding.advice:
        echo(f"      → {finding.advice}")


def _end(findings: Iterable[Finding], as_json: bool) -> None:
    from vagus.daemon.doctor.finding import Verdict, worst

    found = list(findings)
    verdict = worst(found)
    if as_json:
        emit({"verdict": str(verdict), "checks": [each.show() for each in found]})
    else:
        counts = ", ".join(f"{sum(each.verdict == one for each in found)} {one}" for one in Verdict)
        echo(f"{verdict}: {counts}")
    raise typer.Exit(1 if verdict == Verdict.FAIL else 0)
