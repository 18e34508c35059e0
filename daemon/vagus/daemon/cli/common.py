"""What commands share: options, answers on stdout, talk on stderr.

Whatever a command prints may hold a stranger's text: none of it steers a terminal.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from vagus.daemon.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ConfigOption", "JsonOption", "asking", "echo", "emit", "say"]

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


@contextlib.contextmanager
def asking(otherwise: str) -> Iterator[None]:
    """Ask a person inside: who is not there is ConfigError with what to give instead, Ctrl-C stays it."""
    from vagus.daemon.config import ConfigError

    try:
        yield
    except typer.Abort as error:
        # click turns both into Abort, and what it was is what it was raised over.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise ConfigError([otherwise]) from None
