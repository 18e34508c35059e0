"""What commands share: options, JSON on stdout, talk on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

__all__ = ["ConfigOption", "JsonOption", "emit", "say"]

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="VAGUS_CONFIG", help="The node's vagus.toml.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def emit(value: Any) -> None:
    """Print one JSON object on one flushed line of stdout."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """Tell a person what happens, on stderr."""
    print(line, file=sys.stderr, flush=True)
