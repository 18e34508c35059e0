"""A chain of the namespace `lumina`: anvil, and hubs whose ids begin with that.

A hub derives its own CAIP-10 id when it is deployed; that text alone is another one here.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from vagus.adapters.evm import deploy
from vagus.adapters.evm.artifacts import artifact

__all__ = ["NAMESPACE", "lumina_builds", "renamed"]

NAMESPACE = "lumina"


@contextlib.contextmanager
def lumina_builds() -> Iterator[None]:
    """Deploy hubs of this namespace inside."""
    with patch.object(deploy, "artifact", _build):
        yield


def renamed(account: str) -> str:
    """Return the CAIP-2 or CAIP-10 id that an id of `eip155` is here."""
    return NAMESPACE + account.removeprefix("eip155")


def _build(name: str) -> dict[str, Any]:
    built = artifact(name)
    before, after = b"eip155:".hex(), f"{NAMESPACE}:".encode().hex()
    assert built["bytecode"].count(before) == 1
    return built | {"bytecode": built["bytecode"].replace(before, after)}
