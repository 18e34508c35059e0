"""What came of a call: the answer, who gave it at what price, and who else was tried."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from vagus.compute.base import Answer, Backend
from vagus.compute.price import Price

__all__ = ["End", "Served", "Try"]

End = Literal["answered", "failed", "refused", "barred", "cancelled"]


class Try(NamedTuple):
    """One backend that was asked, by its name; seconds of the router's clock.

    end: `answered`; `failed` by a Retry, `refused` by a Refuse, `barred` by a Barred, with its
    reason; `cancelled`, since another was faster.
    """

    backend: str
    end: End
    seconds: float
    reason: str = ""
    hedge: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A call that was answered.

    price: the answering backend's as the call began, in the unit of account per 1,000,000 tokens; a
    lower one where the answer has it.
    tried: everyone who was asked, in that order. lost: what those who did not answer may charge.
    """

    answer: Answer
    backend: Backend
    price: Price
    tried: tuple[Try, ...]
    lost: int = 0

    @property
    def cost(self) -> int:
        """What the answer costs, in the unit of account."""
        return self.price.cost(self.answer.usage)
