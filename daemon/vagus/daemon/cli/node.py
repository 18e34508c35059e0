"""`vagus init`, `vagus run`, `vagus models`: a node and what it runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, asking, echo, emit, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.daemon.choices import ChainChoice

__all__ = ["add_to"]

ChainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--chain",
        help="id=CAIP-2,hub=CAIP-10,rpc=URL[,rpc=URL][,ws=URL][,fee_denom=COIN, on Cosmos]; once a chain. Asked if absent.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(init)
    app.command()(run)
    app.command()(models)


def init(
    folder: Annotated[Path, typer.Argument(help="Where the node lives; made if missing.")] = Path(),
    profile: Annotated[
        str | None,
        typer.Option(help="devnet, testnet or mainnet: what the coins are worth. Asked if absent."),
    ] = None,
    chain: ChainOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port on loopback.")] = 9464,
    data: Annotated[str, typer.Option(help="Where the journal is kept, seen from there.")] = "data",
) -> None:
    """Make a node's folder: keys, and a commented vagus.toml. What is there stays.

    The profile decides what a node refuses. devnet: nothing. testnet: fewer than two endpoints a
    chain, and keys that everyone knows. mainnet: also fewer than three, a hub with a threshold
    under two or that somebody can change, weak key files.

    With --profile and --chain nothing is asked: all is checked before a key is made. Without, each
    answer is checked as it is given. Ctrl-C leaves at any time, and a second run goes on.
    """
    from vagus.adapters.errors import WalletError
    from vagus.daemon.choices import ChainChoice, check_chains
    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.folder import check_folder, make_keys, write_config
    from vagus.daemon.owner import require_owner
    from vagus.daemon.profiles import PROFILES

    check_folder(folder)
    require_owner(folder)
    path = folder / "vagus.toml"
    if path.exists():
        if chain:
            raise ConfigError([f"{path} exists: edit it, or remove it to begin again"])
        say(f"{path} is there, and stays as it is; look at it with: vagus check --config {path}")
        return
    chains = [ChainChoice.parse(text) for text in chain or ()]
    if profile is None:
        profile = "devnet" if chains else _ask_profile(PROFILES)
    if profile not in PROFILES:
        raise ConfigError([f"--profile {profile}: it is devnet, testnet or mainnet"])
    check_chains(chains, profile)
    try:
        keys = make_keys(folder, profile)
    except WalletError as error:
        raise ConfigError([str(error)]) from None
    say(f"signer   0x{keys.signer.hex()}   (a hub is deployed with it)")
    say(
        f"account  0x{keys.account.hex()}   (pays for transactions; its address on each chain: below)"
    )
    if not chains:
        signer = f"0x{keys.signer.hex()}"
        say(f"No hub yet? Stop here, `vagus hub deploy --signer {signer} …`, and come back.")
        again = "give --chain id=…,hub=…,rpc=… or answer the questions; the keys stay"
        with asking(f"no config was written: {again}"):
            chains = [_ask_chain(profile)]
    path = write_config(keys, profile, chains, port, data)
    for each, address in load(path).committee.members[0].addresses.items():
        say(f"fund     {address} on {each}")
    say(f"wrote    {path}")
    say(f"next     vagus doctor --config {path}, and vagus run --config {path}")


def _ask_profile(profiles: dict[str, str]) -> str:
    from vagus.daemon.config import ConfigError

    def check(answer: str) -> None:
        if answer not in profiles:
            raise ConfigError([f"{answer}: it is devnet, testnet or mainnet"])

    for name, means in profiles.items():
        say(f"{name:8} {means}")
    with asking("nothing was made: give --profile, or answer the question"):
        return _ask("Profile", check, default="devnet")


def _ask_chain(profile: str) -> ChainChoice:
    """Ask for a chain; each answer is checked before the next question."""
    from vagus.daemon.choices import ChainChoice
    from vagus.daemon.profiles import LEAST_ENDPOINTS

    def check_endpoint(known: tuple[str, ...], answer: str) -> None:
        ChainChoice.begun(chain, (*known, answer), profile).check(profile)

    local = profile == "devnet"
    chain = _ask(
        "Chain (CAIP-2, as eip155:11155111, solana:…, cosmos:…)",
        lambda answer: ChainChoice.begun(answer, (), profile).check(profile),
        default="eip155:31337" if local else None,
    )
    rpc: tuple[str, ...] = ()
    for at in range(1, (least := LEAST_ENDPOINTS[profile]) + 1):
        found = _ask(
            "JSON-RPC endpoint" + (f" {at} of {least}" if least > 1 else ""),
            partial(check_endpoint, rpc),
            default="http://127.0.0.1:8545" if local else None,
        )
        rpc = (*rpc, found)
    more = {}
    if chain.startswith("cosmos:"):

        def check_denom(answer: str) -> None:
            begun = ChainChoice.begun(chain, rpc, profile)
            replace(begun, more={"fee_denom": answer}).check(profile)

        more["fee_denom"] = _ask("Coin of gas and fees (as ujuno)", check_denom)
    hub = _ask(
        f"Hub (CAIP-10, as {chain}:…)",
        lambda answer: ChainChoice(chain, answer, rpc, more=more).check(profile),
    )
    return ChainChoice(chain, hub, rpc, more=more)


def _ask(question: str, check: Callable[[str], None], default: str | None = None) -> str:
    """Ask until an answer passes its check; what is wrong with one is said."""
    from vagus.daemon.config import ConfigError

    while True:
        answer: str = typer.prompt(question, default=default, err=True).strip()
        try:
            check(answer)
        except ConfigError as error:
            say(f"  {error}")
        else:
            return answer


def run(config: ConfigOption = Path("vagus.toml")) -> None:
    """Run the node until SIGTERM or Ctrl-C, which drain it within ten seconds."""
    import os

    import uvloop

    from vagus.daemon import node
    from vagus.daemon.config import load
    from vagus.daemon.service.logs import set_up

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

    settings = None if config is None else load(config)
    backends = backends_of([{"kind": "local"}]) if settings is None else settings.backend_list()
    found = uvloop.run(list_models(backends, None if settings is None else settings.money))
    if as_json:
        emit({"models": found})
        return
    for each in found:
        shown = (each[key] for key in ("backend", "model", "revision", "quantization"))
        echo("  ".join(part for part in shown if part))
        echo(f"  {each['digest']}")
        price, context = each["price"], each["context"]
        if context is not None:
            echo(f"  {context} tokens of context")
        if price is None:
            echo(f"  no price now: {each['unpriced']}")
        else:
            echo(f"  {price['input']} read, {price['output']} written, per million tokens")
