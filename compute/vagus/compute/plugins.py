"""Plugins by entry point: found without importing, imported when first needed, never trusted to.

A plugin that can't be found, imported or used is a Refuse with the reason, for whoever asked for
it; it stops nobody else. What it prints while it is imported goes to stderr: stdout is for answers.
"""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["Plugin", "found", "load", "report"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin as `list` shows it; `error` says why it can't be used."""

    name: str
    distribution: str
    detail: str | None = None
    error: str | None = None


def found(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, ascending by name; imports none of them."""
    return tuple(sorted(entry_points(group=group), key=lambda e: (e.name, e.value)))


def load(entry: EntryPoint, kind: type[T]) -> type[T]:
    """Import one entry point, which must be a subclass of `kind`. Raises Refuse."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            loaded = entry.load()
    except BaseException as error:
        if type(error) is KeyboardInterrupt:  # Ctrl-C; of its subclasses none comes from a keyboard
            raise
        why = f"{type(error).__name__}: {error}"
        raise Refuse(
            f"plugin {entry.name} ({entry.value}) can't be loaded: {one_line(why)}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, kind)):
        raise Refuse(f"plugin {entry.name} ({entry.value}) is no {kind.__name__}")
    return loaded


def report(group: str, detail: Callable[[EntryPoint], str]) -> tuple[Plugin, ...]:
    """Load all plugins of a group and say of each what it is, or why it is broken."""
    plugins = []
    for entry in found(group):
        distribution = "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        try:
            plugins.append(Plugin(entry.name, distribution, detail=detail(entry)))
        except Refuse as error:
            plugins.append(Plugin(entry.name, distribution, error=error.reason))
    return tuple(plugins)
