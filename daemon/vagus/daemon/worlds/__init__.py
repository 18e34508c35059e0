"""Development chains: what `vagus devnet` and `vagus demo` start, one module a kind."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vagus.daemon.config import ConfigError
from vagus.daemon.worlds.base import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["KINDS", "World", "fetch", "world_class"]

KINDS = ("eip155", "solana", "cosmos")
"""CAIP-2 namespaces."""


def fetch(kinds: Sequence[str], say: Callable[[str], None]) -> None:
    """Fetch or build the nodes of these kinds where they are missing; blocks for minutes then.

    Raises ConfigError for a kind that is unknown, or whose packages are not installed, FetchError.
    """
    for found in [world_class(kind) for kind in kinds]:
        found.fetch(say)


def world_class(kind: str) -> type[World]:
    """Load a kind. Raises ConfigError as `fetch` does."""
    if kind not in KINDS:
        raise ConfigError([f"--chains: {kind!r} is none of {', '.join(KINDS)}"])
    try:
        return import_module(f"vagus.daemon.worlds.{kind}").Chain  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("vagus."):
            raise
        raise ConfigError(
            [
                f"--chains: {kind} needs the package {error.name}: install vagus[{kind}], "
                "or take another kind"
            ]
        ) from None
