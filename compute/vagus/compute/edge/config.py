"""The config of the backend `edge`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.compute.config import BackendConfig, Label
from vagus.compute.mqtt import MqttConfig
from vagus.compute.price import Amount, PriceConfig

__all__ = ["EdgeConfig", "MaxPrice"]


class MaxPrice(BaseModel):
    """US dollars per 1,000,000 tokens read and written, as decimal strings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Amount = Decimal(0)
    output: Amount = Decimal(0)


class EdgeConfig(BackendConfig, MqttConfig):
    """`kind = "edge"`: workers of others, reached over a broker; its keys are those of a transport.

    workers: the addresses of those that are trusted, 0x and 40 hex digits. max_price: who asks more is
    passed over; without it, who asks anything. timeout: seconds for a whole call.
    """

    kind: Label = "edge"
    network: Label = "edge"
    workers: Annotated[
        tuple[Annotated[str, StringConstraints(pattern="^0x[0-9a-fA-F]{40}$")], ...],
        Field(min_length=1, max_length=256),
    ]
    max_price: MaxPrice = MaxPrice()
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if len({each.lower() for each in self.workers}) < len(self.workers):
            raise ValueError("workers: one is there more than once")
        if self.price != PriceConfig():
            raise ValueError(
                "price: workers say what they ask; max_price says what is paid at most"
            )
        return self

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The workers' addresses, 20 bytes each."""
        return tuple(bytes.fromhex(each[2:]) for each in self.workers)
