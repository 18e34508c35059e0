"""What Akash's chain is assumed to be, in one place: its coins, its blocks, its labels.

Prices are in ACT since version 2.0.0 of the network: `uact`, a millionth of a US dollar, per block. Older
bids may be in `uakt`, whose worth in dollars changes: they are not taken. The protocol is about to
leave Cosmos for Solana (discussion 1551 of akash-network): what changes then is here.
"""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

from vagus.protocol import Retry

__all__ = ["BLOCKS_PER_HOUR", "DENOM", "LEAST", "dollars_per_hour", "units_per_block", "usd"]

DENOM = "uact"
# The least that an escrow is opened with, in USD.
LEAST = Decimal("0.5")
# A block comes each six seconds on average, as Console counts.
BLOCKS_PER_HOUR = 600
_MILLION = 1_000_000
# The chain counts prices by 18 decimals; what is outside of these overflows what is made of it.
_LEAST, _MOST = Decimal("1e-18"), Decimal(10) ** 15


def dollars_per_hour(amount: str, denom: str) -> Decimal | None:
    """Return a price per block in USD per hour, None for another coin. Raises Retry for nonsense."""
    if denom != DENOM:
        return None
    return _amount(amount) * BLOCKS_PER_HOUR / _MILLION


def units_per_block(hourly: Decimal) -> int:
    """Return the most that a block may cost in `uact`, rounded up, for USD per hour."""
    per_block = hourly * _MILLION / BLOCKS_PER_HOUR
    return int(per_block.to_integral_value(ROUND_CEILING))


def usd(amount: str, denom: str) -> Decimal:
    """Return an amount in USD; another coin counts for nothing. Raises Retry for nonsense."""
    return _amount(amount) / _MILLION if denom == DENOM else Decimal(0)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not (amount.is_finite() and (amount == 0 or _LEAST <= amount <= _MOST)):
        raise Retry(f"the network named an amount that is none: {text[:40]!r}")
    return amount
