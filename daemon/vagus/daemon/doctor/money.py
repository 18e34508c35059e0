"""What the dollar is worth by the config's sources, asked now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.compute.rates import Rates
from vagus.daemon.doctor.finding import Finding, fail, ok
from vagus.protocol import Retry

if TYPE_CHECKING:
    from vagus.compute.rates import MoneyConfig

__all__ = ["look_at_money"]


async def look_at_money(config: MoneyConfig) -> list[Finding]:
    """Say what a unit of account is worth, and who says so; nothing where nobody does."""
    if not config.told:
        return []
    async with Rates(config) as rates:
        try:
            if config.sources:
                await rates.refresh()
            rate = rates.money.rate()
        except Retry as error:
            advice = "look at url and pointer under [[money.sources]], or give usd"
            return [fail("money", error.reason, advice)]
    worth = f"one unit of account is worth {rate.usd:f} US dollars, by {rate.source}"
    return [ok("money", worth)]
