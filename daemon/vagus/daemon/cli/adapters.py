"""`vagus adapters`: which chains can be served, and what an author of an adapter needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit, say

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
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write it; a folder of that name if absent.")
    ] = None,
) -> None:
    """Write a small distribution with an adapter's skeleton, a harness and the conformance kit."""
    from vagus.daemon.config import ConfigError
    from vagus.daemon.scaffold import new_adapter

    target = Path(namespace) if folder is None else folder
    try:
        written = new_adapter(namespace, target)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    for path in written:
        say(f"wrote {target / path}")
    say(f"see what is not written yet: vagus adapters test {target}")


@app.command("test")
def run_tests(
    folder: Annotated[Path, typer.Argument(help="The distribution's folder.")] = Path(),
) -> None:
    """Run a distribution's tests, the conformance kit among them, on its development chain."""
    from vagus.daemon.scaffold import kit

    names = ", ".join(kit.named_in(folder, "adapters"))
    kit.require(kit.NEEDED)
    say(f"Testing {names}; what is not tried is printed with its reason")
    passed = kit.run_tests(folder, "vagus.adapters.conformance.plugin", "-rfEs")
    say(f"{names}: passed" if passed else f"{names}: FAILED, see above")
    raise typer.Exit(0 if passed else 1)
