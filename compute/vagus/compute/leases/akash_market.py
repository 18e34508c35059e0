"""What Akash's market has, and which of its bids will do."""

from collections.abc import Collection
from decimal import Decimal

import msgspec

from vagus.compute.leases import akash_money as money
from vagus.compute.leases.akash_wire import Bid, Gpu, Market
from vagus.compute.leases.base import Quote, Want
from vagus.compute.leases.checks import matches

__all__ = ["cheapest", "quotes"]

MOST = Decimal(10_000)
# Bids above the market's highest price by a quarter: processor and memory are not in it.
ABOVE = Decimal("1.25")


def quotes(market: Market, want: Want) -> tuple[Quote, ...]:
    """Return the kinds of GPU on the market that will do, by their median price."""
    found: dict[str, tuple[Decimal, Quote]] = {}
    for raw in market.models:
        try:
            gpu = msgspec.json.decode(raw, type=Gpu)
        except msgspec.ValidationError:
            continue  # one that can't be asked for
        price, offer = gpu.price, f"{gpu.model}/{gpu.ram}"
        if (
            price is None
            or price.currency != "USD"
            or gpu.vendor != "nvidia"
            or gpu.availability.available < want.count
            or int(gpu.ram[:-2]) < want.vram
            or not (matches(want.gpus, gpu.model) or matches(want.gpus, offer))
            or not all(each.is_finite() for each in (price.min, price.max, price.med))
            or not 0 < price.min <= price.max <= MOST
            or price.min * want.count > want.max_hourly
        ):
            continue
        most = min(want.max_hourly, price.max * want.count * ABOVE)
        if offer not in found or price.med < found[offer][0]:
            region = want.regions[0] if len(want.regions) == 1 else "unknown"
            quote = Quote(want, offer, gpu.model, most, region, held=money.LEAST)
            found[offer] = (price.med, quote)
    return tuple(quote for _, quote in sorted(found.values(), key=lambda each: each[0]))


def cheapest(
    bids: Collection[Bid],
    dseq: str,
    quote: Quote,
    *,
    providers: Collection[str],
    avoid: Collection[str],
) -> Bid | None:
    """Return the cheapest open bid for a deployment that is within the quote, of a provider that will do.

    providers: addresses that may be taken, none for all but those to avoid.
    """
    found = []
    for bid in bids:
        hourly = money.dollars_per_hour(bid.price.amount, bid.price.denom)
        if (
            bid.state == "open"
            and bid.id.dseq == dseq
            and hourly is not None
            and hourly <= quote.hourly
            and (not providers or bid.id.provider in providers)
            and bid.id.provider not in avoid
        ):
            found.append((hourly, bid.id.provider, bid))
    return min(found, key=lambda each: each[:2])[2] if found else None
