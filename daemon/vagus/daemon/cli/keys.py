"""`vagus keys`: encrypted keystores (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, asking, echo, emit

if TYPE_CHECKING:
    from vagus.daemon.config import Settings

__all__ = ["app"]

app = typer.Typer(help="Make and look at keys; none is ever printed.", no_args_is_help=True)

PathArgument = Annotated[Path, typer.Argument(help="The keystore file.")]
PasswordOption = Annotated[Path, typer.Option("--password-file", help="One line, mode 0600.")]


@app.command()
def new(path: PathArgument, password_file: PasswordOption) -> None:
    """Make a key in a new keystore and print its address."""
    from vagus.adapters.evm.keystore import create_keystore, read_password

    echo(f"0x{create_keystore(path, read_password(password_file)).hex()}")


@app.command("import")
def import_(path: PathArgument, password_file: PasswordOption) -> None:
    """Take a private key in hex from a hidden prompt, or from stdin, into a new keystore."""
    from coincurve import PrivateKey

    from vagus.adapters.evm.keystore import create_keystore, read_password
    from vagus.daemon.config import ConfigError

    if sys.stdin.isatty():
        with asking("no key was taken: give it at the prompt, or on stdin"):
            text = typer.prompt("Private key (hex)", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    try:
        key = PrivateKey(bytes.fromhex(text.strip().removeprefix("0x")))
    except ValueError:
        raise ConfigError(["that is no private key: 64 hex digits"]) from None
    address = create_keystore(path, read_password(password_file), key)
    echo(f"0x{address.hex()}")


@app.command()
def show(
    path: Annotated[
        Path | None, typer.Argument(help="The keystore file; without it, all of the config's.")
    ] = None,
    config: ConfigOption = Path("vagus.toml"),
    as_json: JsonOption = False,
) -> None:
    """Print a keystore's address, which needs no password; or whose keys the config names, and where they are.

    The config's are opened: tokens and KMS are asked for the public half. No secret is shown.
    """
    from vagus.daemon.config import load

    if path is None:
        found = _configured(load(config))
        if as_json:
            emit({"keys": found})
            return
        for each in found:
            echo(f"{each['name']:<16} {each['address']}  {each['where']}")
    else:
        address = _named(path)
        emit({"address": address}) if as_json else echo(address)


def _configured(settings: Settings) -> list[dict[str, str]]:
    """Return the name, the address and the place of each key of a config."""
    from vagus.adapters.signers import KeyConfig

    signer = settings.signer.open_signer()
    found = [{"name": "signer", "address": f"0x{signer.address.hex()}", "where": signer.where}]
    if (own := settings.transport_key) is not None:
        address, place = f"0x{own.open().address.hex()}", f"keystore {own.keystore}"
        found.append({"name": "transport_key", "address": address, "where": place})
    for adapter, table in zip(settings.adapters(), settings.chains, strict=True):
        if adapter.address:
            keys = {name: table.get(name) for name in KeyConfig.model_fields}
            place = KeyConfig.model_validate(keys).where
            found.append({"name": adapter.chain, "address": adapter.address, "where": place})
    return found


def _named(path: Path) -> str:
    """Return the address that a keystore names."""
    from vagus.daemon.config import ConfigError

    if not path.is_file():
        raise ConfigError([f"{path}: no such file; `vagus keys new` makes one"])
    try:
        address: str = json.loads(path.read_bytes())["address"].lower().removeprefix("0x")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError([f"{path} is no keystore that names its address"]) from None
    return f"0x{address}"
