"""`vagus keys`: encrypted keystores (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import JsonOption, asking, echo, emit

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
def show(path: PathArgument, as_json: JsonOption = False) -> None:
    """Print a keystore's address; needs no password, and shows none."""
    from vagus.daemon.config import ConfigError

    if not path.is_file():
        raise ConfigError([f"{path}: no such file; `vagus keys new` makes one"])
    try:
        address = "0x" + json.loads(path.read_bytes())["address"].lower().removeprefix("0x")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError([f"{path} is no keystore that names its address"]) from None
    emit({"address": address}) if as_json else echo(address)
