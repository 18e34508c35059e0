"""`vagus tokens`: who may change what over HTTP."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

__all__ = ["app"]

app = typer.Typer(
    help="Bearer tokens for the HTTP calls that write; the file keeps their hashes alone.",
    no_args_is_help=True,
)

DEFAULT = Path("vagus.toml")
NameArgument = Annotated[str, typer.Argument(help="What it is called in lists and logs.")]


@app.command()
def new(
    name: NameArgument,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="intents:write pokes intents, chains:write resumes chains, backends:write releases "
            "backends; repeatable."
        ),
    ] = None,
    config: ConfigOption = DEFAULT,
) -> None:
    """Make a token and print it, once: it cannot be shown again.

    A running node knows it at once. Send it as `Authorization: Bearer vagus_…`.
    """
    from vagus.daemon.tokens import new_token

    typer.echo(new_token(_file(config), name, scope or []))
    say("keep it where only its user can read it: it is not shown again")


@app.command("list")
def list_(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the tokens by name, with what each may do; none is printed."""
    from vagus.daemon.tokens import read_tokens

    found = read_tokens(_file(config))
    if as_json:
        shown = [
            {"name": each.name, "scopes": each.scopes, "created": each.created} for each in found
        ]
        emit({"tokens": shown})
        return
    for each in found:
        day = time.strftime("%Y-%m-%d", time.gmtime(each.created))
        echo(f"{each.name:24} {day}  {' '.join(each.scopes)}")
    if not found:
        say("there is none: `vagus tokens new NAME --scope intents:write` makes one")


@app.command()
def revoke(name: NameArgument, config: ConfigOption = DEFAULT) -> None:
    """End a token: the next call with it is refused, without a restart."""
    from vagus.daemon.tokens import revoke_token

    revoke_token(_file(config), name)
    say(f"{name} is revoked")


def _file(config: Path) -> Path:
    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.credentials import is_credential
    from vagus.daemon.owner import require_node_user

    settings = load(config)
    require_node_user(settings)
    path = settings.http.tokens_file
    if path is None:
        where = 'tokens_file = "tokens.json"'
        raise ConfigError([f"{config}: write {where} under [http]; without it nothing can write"])
    if is_credential(path):
        raise ConfigError(
            [f"{config}: http.tokens_file is one of systemd's credentials, which none can write to"]
        )
    return path
