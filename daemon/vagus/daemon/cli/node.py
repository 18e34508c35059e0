"""`vagus init`, `vagus run`, `vagus models`: a node and what it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, emit, say

__all__ = ["add_to"]

ChainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--chain",
        help="id=CAIP-2,hub=CAIP-10,rpc=URL[,ws=URL]; once for each chain. Asked if absent.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(init)
    app.command()(run)
    app.command()(models)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the node lives; made if missing.")] = Path(),
    profile: Annotated[str, typer.Option(help="devnet, testnet or mainnet.")] = "devnet",
    chain: ChainOption = None,
    port: Annotated[int, typer.Option(help="HTTP port on loopback.")] = 9464,
) -> None:
    """Make a node's folder: keys, and a commented vagus.toml. Keys that are there stay."""
    from vagus.daemon.config import ConfigError
    from vagus.daemon.folder import ChainChoice, make_keys, write_config

    if profile not in {"devnet", "testnet", "mainnet"}:
        raise ConfigError([f"--profile {profile}: it is devnet, testnet or mainnet"])
    keys = make_keys(folder, profile)
    say(f"signer   0x{keys.signer.hex()}   (a hub is deployed with it)")
    say(f"account  0x{keys.account.hex()}   (pays for transactions: fund it on each chain)")
    if chain:
        chains = [ChainChoice.parse(text) for text in chain]
    else:
        signer = f"0x{keys.signer.hex()}"
        say(f"No hub yet? Stop here, `vagus hub deploy --signer {signer} …`, and come back.")
        try:
            chains = [
                ChainChoice(
                    id=typer.prompt("Chain (CAIP-2)", default="eip155:31337"),
                    rpc=typer.prompt("JSON-RPC endpoint", default="http://127.0.0.1:8545"),
                    hub=typer.prompt("Hub (CAIP-10, as eip155:31337:0x…)"),
                )
            ]
        except typer.Abort:
            again = "give --chain id=…,hub=…,rpc=… or answer the questions; the keys stay"
            raise ConfigError([f"no config was written: {again}"]) from None
    path = write_config(keys, profile, chains, port)
    say(f"wrote    {path}; start the node with: vagus run --config {path}")


def run(config: ConfigOption = Path("vagus.toml")) -> None:
    """Run the node until SIGTERM or Ctrl-C, which drain it within ten seconds."""
    import os

    import uvloop

    from vagus.daemon import node
    from vagus.daemon.config import load
    from vagus.daemon.logs import set_up

    # The journal and its log are for the node's user alone.
    os.umask(0o077)
    settings = load(config)
    set_up(settings.log.level, settings.log.format)
    uvloop.run(node.run(settings))


def models(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A node's config; the local model without."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that a requester can pin, with their digests."""
    import uvloop

    from vagus.daemon.config import backends_of, load
    from vagus.daemon.models import list_models

    backends = backends_of([{"kind": "local"}]) if config is None else load(config).backend_list()
    found = uvloop.run(list_models(backends))
    if as_json:
        emit({"models": found})
        return
    for each in found:
        shown = (each[key] for key in ("backend", "model", "revision", "quantization"))
        typer.echo("  ".join(part for part in shown if part))
        typer.echo(f"  {each['digest']}")
