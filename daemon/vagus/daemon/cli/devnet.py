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
    typer.Option(
        "--chains",
        help="Kinds of chains with commas between: eip155, solana, cosmos; twice for two of them.",
    ),
]

NodesOption = Annotated[
    int,
    typer.Option(
        "--nodes",
        min=1,
        max=32,
        help="Nodes of the committee, more than half of which sign; a config for each.",
    ),
]

devnet_app = typer.Typer(help="Chains with hubs, on this machine.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(devnet_app, name="devnet")
    app.command()(demo)


@devnet_app.command()
def up(
    folder: FolderOption = None,
    chains: ChainsOption = "eip155,eip155",
    nodes: NodesOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Start chains and hubs, print how to reach them, and run until Ctrl-C or `devnet down`.

    Chains and hubs are new each time, and the journal of the old ones is removed. Keys and vagus.toml
    stay as you left them; only what leads to the chains is written anew. The first cosmos takes some
    minutes, since wasmd is built for it.

    Serve them with `vagus run --config <the printed config>`, one for each node. The private key is anvil's well-known
    one (on Solana as the seed of an ed25519 key): funded here, worthless anywhere else.
    """
    import asyncio

    import uvloop

    from vagus.daemon.devnet import devnet
    from vagus.daemon.service.signals import until_stopped

    kinds = _kinds(chains)

    async def serve() -> None:
        with until_stopped():
            async with devnet(folder or _default(), say, kinds, nodes) as net:
                shown = [chain.show() for chain in net.chains]
                if as_json:
                    configs = [str(each) for each in net.configs]
                    emit({"chains": shown, "config": configs[0], "configs": configs})
                else:
                    for key, value in (pair for chain in shown for pair in chain.items()):
                        echo(f"{key:12} {value}")
                    for config in net.configs:
                        echo(f"{'config':12} {config}")
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
    chains: ChainsOption = "eip155,solana,cosmos",
    nodes: NodesOption = 3,
    compute: Annotated[
        bool,
        typer.Option(
            help="Four GPU networks as sandboxes and an edge worker beside the local model."
        ),
    ] = True,
    as_json: JsonOption = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep what the demo makes in this folder.")
    ] = None,
) -> None:
    """Run the main job: three chains, three nodes of which two sign, a real model, an intent in each direction.

    One node is killed in the middle and comes back; of the sellers of GPUs one disappears, one turns
    slow and one swaps its model. Some intents are to fail. Every end is checked on the chains. The first run fetches a model and builds a Cosmos node, which
    takes some minutes; `--chains eip155,eip155` does without.
    """
    import uvloop

    from vagus.daemon.demo import run_demo

    kinds = _kinds(chains)
    os.umask(0o077)
    report = uvloop.run(run_demo(folder, say, kinds, nodes, compute=compute, live=not as_json))
    wrong = report.pop("wrong")
    if as_json:
        for fault in wrong:
            say(f"wrong: {fault}")
        emit(report)
    raise typer.Exit(0 if report["ok"] else 1)


def _kinds(text: str) -> list[str]:
    """Read --chains, and fetch what is missing before anything is started."""
    from vagus.daemon.service.signals import as_interrupt
    from vagus.daemon.worlds import fetch

    kinds = [kind.strip() for kind in text.split(",")]
    with as_interrupt():
        fetch(kinds, say)
    return kinds


def _default() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "vagus" / "devnet"
