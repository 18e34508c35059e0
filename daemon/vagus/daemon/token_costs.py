"""What the tokens of a question may cost at most, at the prices that the running node has now."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vagus.agents import AgentRegistry
from vagus.compute import Price, Usage
from vagus.compute.bounds import TEMPLATE_TOKENS
from vagus.daemon.http_client import NodeError, get, node_url
from vagus.protocol import ZERO32

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.daemon.config import Settings

__all__ = ["token_fee"]

# Tokens that an agent is taken to have written where its config names no maximum, and to have read
# besides the payload: its own instructions.
_WRITTEN = 512
_INSTRUCTIONS = 1024
_BASIS_POINTS = 10_000


async def token_fee(
    settings: Settings,
    agent: str,
    model: bytes,
    payload: bytes,
    origin: str,
    say: Callable[[str], None],
) -> int:
    """Return what a fee needs for the tokens of one answer, in the smallest unit of the origin's coin.

    By the cheapest backend that the node may ask; model: the digest of the only one allowed, zero for any.
    An agent that asks more than once, or reads pages, may need more. 0, and said why, where the node
    can't tell: then nothing is left for tokens that cost something.
    """
    served = AgentRegistry(settings.agents).get(agent)
    if not served.asks:
        return 0
    query = {"agent": agent} | ({} if model == ZERO32 else {"model": f"0x{model.hex()}"})
    try:
        found = await get(node_url(settings), f"/v1/route?{urlencode(query)}")
    except NodeError as error:
        say(
            f"what tokens cost is not known ({error}): the fee has nothing for them; else give --fee"
        )
        return 0
    written = getattr(served.config, "max_tokens", _WRITTEN)
    usage = Usage(len(payload) + _INSTRUCTIONS + TEMPLATE_TOKENS, written)
    costs = [price.cost(usage) for price in _prices(found)]
    if not costs:
        say(
            f"the node has no backend for it that has a price now: {_why(found)}; it may be refused"
        )
        return 0
    if not (cost := min(costs)):
        return 0
    roster = settings.committee
    markup = max(served.manifest.fee.markup_bps, _BASIS_POINTS)
    # Each step of the way back is rounded down: one more of the coin for each.
    coin = roster.to_coin(origin, cost) + 1
    fee = -(-coin * markup // _BASIS_POINTS) + 1
    say(f"of the fee, {fee} is for tokens, {usage.completion} of them written: the rest comes back")
    return fee


def _prices(found: dict[str, Any]) -> list[Price]:
    """Return the prices of the candidates that /v1/route shows."""
    shown = [each["price"] for model in found["models"] for each in model["candidates"]]
    return [Price(Decimal(each["input"]), Decimal(each["output"])) for each in shown if each]


def _why(found: dict[str, Any]) -> str:
    out = [f"{each['backend']} is not within {each['rule']}" for each in found["out"]]
    return "; ".join(out[:3]) or "none serves such a model"
