"""What tokens cost: usage as counted by a backend, prices as its operator wrote them."""

from decimal import ROUND_CEILING, Context, Decimal
from typing import Annotated, NamedTuple

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["NoFloat", "Price", "PriceConfig", "Usage"]

# Enough for 36 digits of price and 10 of tokens without rounding on the way.
EXACT = Context(prec=60)


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a backend says it read and wrote."""

    prompt: int
    completion: int


class Price(NamedTuple):
    """The unit of account's smallest unit per 1,000,000 tokens read and written.

    source: who says so, in words for evidence and people: the config, or a listing and a rate.
    """

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    source: str = "config"

    def within(self, most: "Price") -> bool:
        """Whether neither of its parts is more than another price's."""
        return self.input <= most.input and self.output <= most.output

    def cost(self, usage: Usage) -> int:
        """Return what a usage costs in the unit that it is priced in, rounded up."""
        read = EXACT.multiply(self.input, Decimal(usage.prompt))
        written = EXACT.multiply(self.output, Decimal(usage.completion))
        millionths = EXACT.add(read, written).scaleb(-6, EXACT)
        return int(millionths.to_integral_value(ROUND_CEILING))


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f'write the price as a string, "{value}": binary floats round')  # noqa: TRY004 - pydantic reports ValueError only
    return value


NoFloat = BeforeValidator(_no_float)
Amount = Annotated[Decimal, NoFloat, Field(ge=0, max_digits=36, decimal_places=18)]


class PriceConfig(BaseModel):
    """A price in a config file: decimal strings, smallest unit per 1,000,000 tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Amount = Decimal(0)
    output: Amount = Decimal(0)

    def price(self) -> Price:
        """Return it as the hot path uses it."""
        return Price(self.input, self.output)
