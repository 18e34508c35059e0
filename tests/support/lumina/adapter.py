"""A small adapter that is real: the EVM adapter for chains and hubs of another namespace."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel

from vagus.adapters.base import ChainEvent, EventFilter
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.protocol import caip2, keccak256

__all__ = ["LuminaAdapter", "LuminaConfig"]


def _chain(text: str) -> str:
    if not caip2(text).startswith("lumina:"):
        raise ValueError("must be a chain of the namespace lumina")
    return text


class LuminaConfig(EvmConfig):
    """The table of `[[chains]]`."""

    id: Annotated[str, AfterValidator(_chain)]

    @property
    def chain_id(self) -> int:
        """What the chain's nodes answer, and its transactions are signed for."""
        return int(self.id.removeprefix("lumina:"))


class LuminaAdapter(EvmAdapter):
    """One chain: its endpoints, one hub, one account."""

    Config: ClassVar[type[BaseModel]] = LuminaConfig

    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Read any contract's events. Its address is an EVM one, which this namespace says nowhere."""
        topic = keccak256(wanted.event.encode())
        return await self._events(wanted.address.lower(), topic, first, last)
