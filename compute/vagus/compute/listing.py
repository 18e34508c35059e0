"""What a server's /models says: names, contexts and prices, kept as fresh as the config wants.

Sources: OpenRouter's models API (pricing.prompt and .completion, USD a token), AkashML's (pricing.input
and .output), io.net Intelligence's (input_token_price, output_token_price, context_window), vLLM's
(max_model_len), llama.cpp's (meta.n_ctx_train). All of it was written by a stranger.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import structlog

from vagus.compute.bounds import one_line
from vagus.compute.decoding import decode
from vagus.compute.price import EXACT
from vagus.protocol import Refuse, Retry

__all__ = ["Listed", "Listing", "PriceUnit", "read_listing", "usd_per_million"]

log = structlog.get_logger("vagus.compute")

PriceUnit = Literal["token", "million"]

MILLION = Decimal(10**6)
# USD per 1,000,000 tokens: what is outside was written in another unit than it was read in.
LEAST, MOST = Decimal("0.001"), Decimal(1000)
MAX_CONTEXT = 1 << 30
# Seconds to the next try after one that failed.
SOON = 30.0

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_NOTHING = msgspec.Raw(b"null")
_NO_PRICE = Decimal("Infinity")


class Listed(NamedTuple):
    """A model as a server lists it. context: tokens.

    Prices are as they are written: None for none, infinite for what is no price.
    """

    name: str
    context: int | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    request: Decimal | None = None


class _Entry(msgspec.Struct):
    id: Name
    context_length: msgspec.Raw = _NOTHING
    context_window: msgspec.Raw = _NOTHING
    max_model_len: msgspec.Raw = _NOTHING
    meta: msgspec.Raw = _NOTHING
    pricing: msgspec.Raw = _NOTHING
    input_token_price: msgspec.Raw = _NOTHING
    output_token_price: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct):
    data: Annotated[list[_Entry], msgspec.Meta(min_length=1, max_length=1024)]


_body = msgspec.json.Decoder(_Body)
_table = msgspec.json.Decoder(dict[str, msgspec.Raw])
_number = msgspec.json.Decoder(Decimal)
_count = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=MAX_CONTEXT)])


def read_listing(data: bytes) -> tuple[Listed, ...]:
    """Return the models in the body of a GET of models, ascending by name; Retry for anything else.

    What an entry says of context and price that is not understood, it does not say.
    """
    entries = decode(_body, data, "the server's answer is no list of models").data
    return tuple(sorted({each.id: _listed(each) for each in entries}.values()))


def usd_per_million(listed: Listed, unit: PriceUnit) -> tuple[Decimal, Decimal]:
    """Return what a model's tokens read and written cost in USD per 1,000,000 of them.

    Raises Refuse, in words for the operator, where the listing does not say so.
    """
    if listed.input is None or listed.output is None:
        raise Refuse(f"{one_line(listed.name)} is listed without a price")
    if not all(each.is_finite() for each in (listed.input, listed.output, listed.request or LEAST)):
        raise Refuse(f"{one_line(listed.name)} is listed with a price that is none")
    if listed.request:
        raise Refuse(f"{one_line(listed.name)} costs something by the request, not by tokens alone")
    factor = MILLION if unit == "token" else Decimal(1)
    found = EXACT.multiply(listed.input, factor), EXACT.multiply(listed.output, factor)
    for each in found:
        if each and not LEAST <= each <= MOST:
            raise Refuse(
                f"{one_line(listed.name)} would cost {each:.6g} USD per 1,000,000 tokens, if it is listed "
                f"by the {unit}: look whether price_unit is right"
            )
    return found


class Listing:
    """A server's models as they were last told. `fetch` asks for them; `clock` never goes back.

    max_age: seconds for which what was told counts.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[Listed, ...]]],
        *,
        max_age: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._max_age = max_age
        self._clock = clock
        self._models: Mapping[str, Listed] = {}
        self._at = clock()
        self._reason = "it was not asked yet"

    async def refresh(self) -> None:
        """Ask once. Raises Retry and Refuse, and keeps what was told before."""
        try:
            found = await self._fetch()
        except (Retry, Refuse) as error:
            self._reason = error.reason
            raise
        self._models, self._at = {each.name: each for each in found}, self._clock()

    async def run(self, every: float) -> None:
        """Ask again and again, every so many seconds; a server that fails is asked soon again."""
        while True:
            try:
                await self.refresh()
            except Retry as error:
                await asyncio.sleep(min(every, max(SOON, error.after)))
            except Refuse:
                await asyncio.sleep(every)
            except Exception as error:  # noqa: BLE001 - what one server says must not stop the node
                kind = type(error).__name__
                log.error("a defect of a listing", error=kind)  # noqa: TRY400 - a traceback may quote keys
                self._reason = f"a defect of this node: {kind}"
                await asyncio.sleep(min(every, SOON))
            else:
                await asyncio.sleep(every)

    @property
    def known(self) -> Mapping[str, Listed]:
        """The models by their names, however long ago they were told; none before the first time."""
        return self._models

    def fresh(self, name: str) -> Listed:
        """Return what was told of a model. Raises Retry where it was not, or too long ago."""
        if not self._models:
            raise Retry(f"what it serves is not known yet: {self._reason}")
        age = self._clock() - self._at
        if age > self._max_age:
            raise Retry(f"what it serves was last learned {age:.0f} s ago: {self._reason}")
        if name not in self._models:
            raise Retry(f"it lists no {one_line(name)} now")
        return self._models[name]


def _listed(entry: _Entry) -> Listed:
    pricing: dict[str, msgspec.Raw] = _take(_table, entry.pricing) or {}
    return Listed(
        entry.id,
        _context(entry),
        _price(entry.input_token_price, pricing, "input", "prompt"),
        _price(entry.output_token_price, pricing, "output", "completion"),
        _price(_NOTHING, pricing, "request"),
    )


def _context(entry: _Entry) -> int | None:
    """Return the least of the contexts that an entry names."""
    meta: dict[str, msgspec.Raw] = _take(_table, entry.meta) or {}
    named = (entry.context_length, entry.context_window, entry.max_model_len)
    found = [_take(_count, raw) for raw in (*named, meta.get("n_ctx_train", _NOTHING))]
    return min((each for each in found if each is not None), default=None)


def _price(alone: msgspec.Raw, pricing: Mapping[str, msgspec.Raw], *names: str) -> Decimal | None:
    """Return a price under one of its names, the dearest where an entry has several."""
    found = []
    for raw in (alone, *(pricing.get(name, _NOTHING) for name in names)):
        if bytes(raw) == b"null":
            continue
        number = _take(_number, raw)
        found.append(number if number is not None and _plain(number) else _NO_PRICE)
    return max(found, default=None)


def _plain(number: Decimal) -> bool:
    """Say whether it may be a price: no NaN, no million digits, nothing under zero."""
    digits = len(number.as_tuple().digits)
    return number.is_finite() and number >= 0 and digits <= 36 and -30 <= number.adjusted() <= 9


def _take(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw) -> Any:
    """Return a value of the decoder's type, None for anything else."""
    try:
        return decode(decoder, raw, "")
    except Retry:
        return None
