"""`vagus devnet up|down` and `vagus demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit, say

__all__ = ["add_to"]

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="The devnet's own folder; has a default.")
]

ChainsOption = Annotated[
    str,
    typer.Option("--chains", help="Kinds of chains, with commas between: eip155, solana, cosmos."),
]

devnet_app = typer.Typer(help="Chains with hubs, on this machine.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(devnet_app, name="devnet")
    app.command()(demo)


@devnet_app.command()
def up(
    folder: FolderOption = None, chains: ChainsOption = "eip155", as_json: JsonOption = False
) -> None:
    """Start chains and hubs, print how to reach them, and run until Ctrl-C or `devnet down`.

    Two EVM chains are always there. Chains and hubs are new each time, and the journal of the old ones
    is removed. Keys and vagus.toml stay as you left them; only what leads to the chains is written anew.

    Serve the EVM chains with `vagus run --config <the printed config>`. The private key is anvil's
    well-known one: funded here, worthless anywhere else.
    """
    import asyncio

    import uvloop

    from vagus.daemon.devnet import devnet
    from vagus.daemon.service.signals import until_stopped

    kinds = _kinds(chains)

    async def serve() -> None:
        with until_stopped():
            async with devnet(folder or _default(), say, kinds) as net:
                shown = [chain.show() for chain in net.chains]
                shown += [world.show() for world in net.worlds]
                if as_json:
                    emit({"chains": shown, "config": str(net.config)})
                else:
                    for key, value in (pair for chain in shown for pair in chain.items()):
                        echo(f"{key:12} {value}")
                    echo(f"{'config':12} {net.config}")
                    say("Running; Ctrl-C or `vagus devnet down` ends it")
                await asyncio.Event().wait()

    os.umask(0o077)  # as for `run`: keys, config and journal are for this user alone
    uvloop.run(serve())


@devnet_app.command()
def down(folder: FolderOption = None) -> None:
    """End the devnet that runs in the folder."""
    from vagus.daemon.journal.lock import end_owner

    say("ended" if end_owner(folder or _default()) else "no devnet is running there")


def demo(
    as_json: JsonOption = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep what the demo makes in this folder.")
    ] = None,
) -> None:
    """Run the main job: two chains, a node, a real model, nine intents, all checked on chain."""
    import uvloop

    from vagus.daemon.demo import run_demo

    os.umask(0o077)
    report = uvloop.run(run_demo(folder, say, live=not as_json))
    wrong = report.pop("wrong")
    if as_json:
        for fault in wrong:
            say(f"wrong: {fault}")
        emit(report)
    raise typer.Exit(0 if report["ok"] else 1)


def _kinds(text: str) -> list[str]:
    from vagus.daemon.config import ConfigError
    from vagus.daemon.worlds import WORLDS

    kinds = [kind.strip() for kind in text.split(",")]
    known = ["eip155", *WORLDS]
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigError([f"--chains: {unknown[0]!r} is none of {', '.join(known)}"])
    return [kind for kind in WORLDS if kind in kinds]


def _default() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "vagus" / "devnet"
