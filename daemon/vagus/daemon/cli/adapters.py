"""`vagus adapters`: which chains can be served, and what an author of an adapter needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit
from vagus.daemon.cli.plugins import FolderArgument, NewFolderArgument, run_kit, write

__all__ = ["app"]

app = typer.Typer(
    help="List chain adapters, and write your own: docs/adapters.md.", no_args_is_help=True
)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the installed adapters by their namespace; of a broken one, why no chain is served."""
    from vagus.adapters.registry import installed

    found = installed()
    if as_json:
        emit(
            {
                "adapters": [
                    {
                        "namespace": each.namespace,
                        "target": each.target,
                        "distribution": each.distribution,
                        "error": each.fault or None,
                    }
                    for each in found
                ]
            }
        )
        return
    for each in found:
        state = "cannot be used" if each.fault else ""
        echo(f"{each.namespace:10} {each.distribution:24} {state}".rstrip())
        if each.fault:
            echo(f"{'':10} {each.fault}")


@app.command()
def new(
    namespace: Annotated[str, typer.Argument(help="CAIP-2's name of the kind of chain, as sui.")],
    folder: NewFolderArgument = None,
) -> None:
    """Write a small distribution with an adapter's skeleton, a harness and the conformance kit."""
    from vagus.daemon.scaffold import new_adapter

    write(new_adapter, namespace, folder, "see what is not written yet: vagus adapters test")


@app.command("test")
def run_tests(
    folder: FolderArgument = Path(),
) -> None:
    """Run a distribution's tests, the conformance kit among them, on its development chain."""
    how = "; what is not tried is printed with its reason"
    run_kit(folder, "adapters", "vagus.adapters.conformance.plugin", "-rfEs", how=how)
