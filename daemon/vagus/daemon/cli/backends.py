"""`vagus backends`: which kinds of backends are installed, and what an author of one needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit
from vagus.daemon.cli.plugins import FolderArgument, NewFolderArgument, run_kit, write

__all__ = ["app"]

app = typer.Typer(
    help="List the kinds of backends, and write your own: docs/backends.md.", no_args_is_help=True
)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the installed kinds of backends; of a broken one, why it can't be used."""
    from vagus.compute import backend_kinds

    found = backend_kinds()
    if as_json:
        emit(
            {
                "backends": [
                    {
                        "kind": each.name,
                        "class": each.detail,
                        "distribution": each.distribution,
                        "error": each.error,
                    }
                    for each in found
                ]
            }
        )
        return
    for each in found:
        state = "" if each.error is None else "cannot be used"
        echo(f"{each.name:20} {each.distribution:24} {state}".rstrip())
        if each.error is not None:
            echo(f"{'':20} {each.error}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The backend's kind: small letters, digits, dashes.")],
    folder: NewFolderArgument = None,
) -> None:
    """Write a small distribution with a backend and its tests, the conformance kit among them."""
    from vagus.daemon.scaffold import new_backend

    write(new_backend, name, folder, "try it: vagus backends test")


@app.command("test")
def run_tests(
    folder: FolderArgument = Path(),
) -> None:
    """Run a distribution's tests, the conformance kit among them."""
    run_kit(folder, "backends", "vagus.compute.conformance_plugin", "-o", "asyncio_mode=auto")
