"""What is in the frames: JSON objects, strictly read. All of it is a stranger's, whoever signed it.

OFFER    session, window, models, slots, free
HELLO    nothing: whoever hears it says what it has
ASK      window, within, stream, request
CANCEL   nothing
PIECE    text, tokens
ANSWER   text, tokens, prompt, completion, finish_reason, model, ids
SORRY    reason, after
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar

import msgspec

from vagus.compute import decoding
from vagus.compute.base import Completion, Model, Token
from vagus.compute.wire import UNSEEN
from vagus.protocol import Retry

__all__ = [
    "AnswerBody",
    "Ask",
    "BodyError",
    "Offer",
    "Offered",
    "Piece",
    "Sorry",
    "decode",
    "encode",
    "most_written",
]

T = TypeVar("T")
MAX_MODELS = 64
MAX_SLOTS = 1024
MAX_WITHIN = 3600.0
# US dollars per 1,000,000 tokens: more is no price.
MAX_PRICE = Decimal(1_000_000)

Word = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,7}(\.[0-9]{1,12})?$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class BodyError(ValueError):
    """A body that is none of its kind."""


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that a worker serves, as requesters pin it, and its price.

    context: tokens that prompt and answer may have together. input, output: US dollars per 1,000,000
    tokens read and written, as decimal strings.
    """

    name: Name
    revision: Name | None = None
    quantization: Name | None = None
    weights: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None
    context: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)] | None = None
    input: Amount = "0"
    output: Amount = "0"

    @property
    def model(self) -> Model:
        """The model."""
        return Model(self.name, self.revision, self.quantization, self.weights)

    @property
    def usd(self) -> tuple[Decimal, Decimal]:
        """The price of 1,000,000 tokens read, and of as many written, in US dollars."""
        return Decimal(self.input), Decimal(self.output)

    def __post_init__(self) -> None:
        """Hold what a pattern can't say."""
        parts = (self.name, self.revision or "", self.quantization or "")
        if not all(each.isprintable() for each in parts):
            raise ValueError("a model's name has what can't be printed")
        if max(self.usd) > MAX_PRICE:
            raise ValueError(f"a price is over {MAX_PRICE} dollars")


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker has.

    session: 16 bytes in hex, others after each start. window: 16 bytes in hex that requests name, others
    each half minute; a request may name the one before, too. slots: requests at once; free: how many of
    them are free now.
    """

    session: Word
    window: Word
    models: Annotated[list[Offered], msgspec.Meta(max_length=MAX_MODELS)]
    slots: Annotated[int, msgspec.Meta(ge=1, le=MAX_SLOTS)]
    free: Annotated[int, msgspec.Meta(ge=0, le=MAX_SLOTS)]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request. within: seconds for which whoever asks waits. stream: whether pieces are wanted."""

    window: Word
    within: Annotated[float, msgspec.Meta(gt=0, le=MAX_WITHIN)]
    stream: bool
    request: Completion


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of an answer, after those before it."""

    text: str
    tokens: tuple[Token, ...] = ()


class AnswerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole answer, also where pieces of it were sent; prompt and completion count its tokens."""

    text: str
    prompt: Count
    completion: Count
    finish_reason: Name
    model: Annotated[str, msgspec.Meta(max_length=256)] = ""
    tokens: tuple[Token, ...] = ()
    ids: tuple[Count, ...] = ()


class Sorry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why there is no answer. after: seconds until it is worth another try, None for never.

    busy: whether other requests would end so, too, for that long.
    """

    reason: Annotated[str, msgspec.Meta(max_length=1024)]
    after: Annotated[float, msgspec.Meta(ge=0, le=MAX_WITHIN)] | None = None
    busy: bool = False


encode = msgspec.json.Encoder().encode


def decode(data: bytes, kind: type[T]) -> T:
    """Read a body. Raises BodyError; Refuse where an Ask's request is out of its bounds."""
    try:
        body: T = decoding.decode(_DECODERS[kind], data, "the body")
    except Retry as error:
        raise BodyError(error.reason) from None
    except InvalidOperation as error:
        raise BodyError(str(error)) from None
    return body


def most_written(text: str) -> int:
    """Return the most tokens that a text can count: a byte each, and marks that leave none."""
    return len(text.encode()) + UNSEEN


_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Offer, Ask, Piece, AnswerBody, Sorry)
}
