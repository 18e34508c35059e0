"""The command line: one binary, `vagus`.

Exit codes: 0 done, 2 usage or config, 3 start-up failed for good (systemd must not restart),
4 data folder in use, 1 anything else. Modules are imported inside the commands: `vagus --help`
answers at once.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from vagus.daemon.cli import (
    adapters,
    agents,
    backends,
    backup,
    bench,
    committee,
    devnet,
    doctor,
    evidence,
    hub,
    intent,
    keys,
    leases,
    node,
    route,
    sandbox,
    secret,
    tokens,
    worker,
    zk,
)
from vagus.daemon.printable import printable
from vagus.daemon.service.logs import set_up
from vagus.protocol import Retry, VagusError

__all__ = ["app", "main"]

app = typer.Typer(
    help="The nerve between blockchains, AI agents and GPU networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
node.add_to(app)
doctor.add_to(app)
devnet.add_to(app)
backup.add_to(app)
sandbox.add_to(app)
worker.add_to(app)
app.add_typer(hub.app, name="hub")
app.add_typer(intent.app, name="intent")
app.add_typer(committee.app, name="committee")
evidence.add_to(app)
app.add_typer(agents.app, name="agents")
app.add_typer(adapters.app, name="adapters")
app.add_typer(backends.app, name="backends")
app.add_typer(keys.app, name="keys")
app.add_typer(leases.app, name="leases")
app.add_typer(secret.app, name="secret")
app.add_typer(tokens.app, name="tokens")
app.add_typer(zk.app, name="zk")
app.add_typer(route.app, name="route")
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vagus {version('vagus')}")
        raise typer.Exit


@app.callback()
def _group(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """The nerve between blockchains, AI agents and GPU networks."""


def main() -> None:
    """Run a command; what goes wrong is one line on stderr and an exit code, never a traceback."""
    set_up("warning", "console")  # `vagus run` sets it up again, by its config
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:
        # A task group wraps what one of its tasks raised: the first is what went wrong.
        _fail(_first(group))
    except VagusError as error:
        _fail(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _fail(error: BaseException) -> None:
    if not isinstance(error, VagusError):
        raise error
    text = error.reason if isinstance(error, Retry) else str(error)
    for line in text.splitlines():
        print(f"vagus: {printable(line)}", file=sys.stderr)
    sys.exit(getattr(error, "exit_code", 1))
