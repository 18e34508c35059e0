"""`vagus zk`: the files of proven circuits, and the environment that proves and verifies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit, say

__all__ = ["app"]

app = typer.Typer(
    help="What agents in mode zk need of this node: docs/modes.md#zk.", no_args_is_help=True
)


@app.command()
def add(
    files: Annotated[
        list[Path], typer.Argument(help="A circuit, its settings, its key, an SRS: any of them.")
    ],
) -> None:
    """Copy files of a circuit to where nodes look for them, and print each one's sha256.

    An agent's manifest names what it needs by these: compare what is printed with what the agent's
    author and the SRS's ceremony have published. A file that no agent names is used by none.
    """
    from vagus.agents.zk.circuit import add_file
    from vagus.daemon.config import ConfigError

    for path in files:
        try:
            kept = add_file(path)
        except OSError as error:
            raise ConfigError([f"{path} cannot be added ({error.strerror})"]) from None
        echo(f"{kept.name}  {path}")


@app.command()
def show(as_json: JsonOption = False) -> None:
    """Show whether the environment is here, which files are, and what each installed agent lacks."""
    from vagus.agents import agent_class, installed_agents
    from vagus.agents.modes import mode_of
    from vagus.agents.zk.circuit import known_files
    from vagus.agents.zk.prover import environment, version
    from vagus.protocol import Refuse

    try:
        found, fault = version(), None
    except Refuse as error:
        found, fault = None, error.reason
    files = known_files()
    agents: dict[str, str | None] = {}
    for each in installed_agents():
        if each.mode == "zk" and each.id is not None:
            try:
                say(f"looking at {each.id}")
                mode_of(agent_class(each.id)().manifest).require(())
                agents[each.id] = None
            except Refuse as error:
                agents[each.id] = error.reason
    if as_json:
        emit(
            {
                "environment": str(environment()),
                "ezkl": found,
                "fault": fault,
                "files": {path.name: size for path, size in files},
                "agents": agents,
            }
        )
        return
    echo(f"environment  {environment()}")
    echo(f"ezkl         {found or fault}")
    for path, size in files:
        echo(f"file         {path.name}  {size} bytes")
    for name, lacks in agents.items():
        echo(f"agent        {name}: {lacks or 'can be proven and verified here'}")
