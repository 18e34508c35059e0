"""The example consumers, which the demo's answers go to: one module a kind of chain."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vagus.daemon.demo.consumers.base import Consumer

if TYPE_CHECKING:
    from vagus.daemon.worlds import World

__all__ = ["Consumer", "deploy_consumer"]

AGENT = "chat@1"
"""The agent whose answers they take."""


async def deploy_consumer(world: World) -> Consumer:
    """Deploy one that trusts the chain's hub, from the account that asks."""
    kind = world.caip2.partition(":")[0]
    module = import_module(f"vagus.daemon.demo.consumers.{kind}")
    return await module.deploy(world, AGENT)  # type: ignore[no-any-return]
