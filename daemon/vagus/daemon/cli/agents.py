"""`vagus agents`: what is installed, and what an author needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit, say
from vagus.daemon.cli.plugins import FolderArgument, NewFolderArgument, run_kit, write
from vagus.protocol import Refuse

__all__ = ["app"]

app = typer.Typer(help="List agents, and write your own.", no_args_is_help=True)


@app.command("list")
def list_(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A node's config: shows which of them it serves."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the installed agents; of a broken one, why it can't be served."""
    from vagus.agents import installed_agents

    served = None if config is None else _served(config)
    found: list[dict[str, Any]] = [
        {
            "id": each.id,
            "entry": each.entry,
            "version": each.version,
            "mode": each.mode,
            "distribution": each.distribution,
            "served": None if served is None else each.id in served,
            "error": each.error,
        }
        for each in installed_agents()
    ]
    if as_json:
        emit({"agents": found})
        return
    for each in found:
        if each["error"] is None:
            state = {None: "", True: "served", False: "not served"}[each["served"]]
            cells = f"{each['id']:20} {each['version']:8} {each['mode']:10} {each['distribution']}"
            echo(f"{cells:60} {state}".rstrip())
        else:
            echo(f"{each['entry']:20} {'broken':19} {each['distribution']}")
            echo(f"{'':20} {each['error']}")


@app.command()
def manifest(
    name: Annotated[str, typer.Argument(help="name@major of an installed agent.")],
) -> None:
    """Print what an installed agent promises, with its default config, as JSON."""
    import json

    from vagus.agents import AgentRegistry
    from vagus.daemon.config import ConfigError

    try:
        found = AgentRegistry({name: {}}).get(name).manifest.model_dump(mode="json")
    except Refuse as error:
        raise ConfigError([error.reason]) from None
    typer.echo(json.dumps(found, indent=2, sort_keys=True))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The agent's name: small letters, digits, dashes.")],
    folder: NewFolderArgument = None,
) -> None:
    """Write a small distribution with an agent, its tests and its manifest."""
    from vagus.daemon.scaffold import new_agent

    write(new_agent, name, folder, "try it: vagus agents test")


@app.command("test")
def run_tests(
    folder: FolderArgument = Path(),
) -> None:
    """Run a distribution's tests, the conformance kit among them, on the local model."""
    from vagus.daemon.fetch import model_path

    scopes = [f"asyncio_default_{each}_loop_scope=session" for each in ("fixture", "test")]
    run_kit(
        folder,
        "agents",
        "vagus.daemon.testing",
        *(word for each in ("asyncio_mode=auto", *scopes) for word in ("-o", each)),
        how=" on the local model",
        extras={"xllamacpp": "local"},
        prepare=lambda: model_path(say),
    )


def _served(config: Path) -> set[str]:
    """Return the ids that a node with this config answers for."""
    from vagus.daemon.config import load

    settings = load(config)
    enabled, policy = settings.agent_registry().enabled, settings.policy.agents
    return {name for name in enabled if not policy or name in policy}
