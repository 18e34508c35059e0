"""What commands share: options, answers on stdout, talk on stderr.

Whatever a command prints may hold a stranger's text: none of it steers a terminal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from vagus.daemon.printable import printable

__all__ = ["ConfigOption", "JsonOption", "echo", "emit", "say"]

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="VAGUS_CONFIG", help="The node's vagus.toml.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def emit(value: Any) -> None:
    """Print one JSON object on one flushed line of stdout."""
    sys.stdout.write(printable(msgspec.json.encode(value).decode()) + "\n")
    sys.stdout.flush()


def echo(line: object = "") -> None:
    """Print a line of the answer, for people, on stdout."""
    typer.echo(printable(str(line)))


def say(line: str) -> None:
    """Tell a person what happens, on stderr."""
    print(printable(line), file=sys.stderr, flush=True)
