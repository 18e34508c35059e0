"""What one unit of account is worth in US dollars: the operator's word, or HTTP APIs that agree.

    [money]
    usd = "3000"

or sources, each a URL of JSON and where in it the number stands (RFC 6901). With several, two at least
must agree, and one that lies or fails changes nothing.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal
from types import TracebackType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import msgspec
import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.compute.bounds import one_line
from vagus.compute.config import Label
from vagus.compute.decoding import decode
from vagus.compute.http import HttpClient
from vagus.compute.http_bounds import Endpoint
from vagus.compute.money import Money, Rate
from vagus.compute.pinning import Reach, check_url
from vagus.compute.price import NoFloat
from vagus.protocol import Refuse, Retry

__all__ = ["MoneyConfig", "Rates", "SourceConfig", "agreed", "at_pointer"]

log = structlog.get_logger("vagus.money")

MAX_BODY = 1 << 20
PATIENCE = 10.0
# Dollars that a unit may be worth: what is outside was read from the wrong place.
LEAST, MOST = Decimal("1e-9"), Decimal("1e9")

_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

Dollars = Annotated[Decimal, NoFloat, Field(ge=LEAST, le=MOST)]


class SourceConfig(BaseModel):
    """One `[[money.sources]]` table. name: as evidence names it. pointer: `/ethereum/usd`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Label
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@#]+$", max_length=2048)]
    pointer: Annotated[str, StringConstraints(pattern=r"^(/[^/]*)+$", max_length=256)]

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        try:
            check_url(self.url, Reach.NAMED)
        except Refuse as error:
            raise ValueError(error.reason) from None
        return self


class MoneyConfig(BaseModel):
    """`[money]`: what one unit of account, 10^18 of its smallest part, is worth in US dollars.

    usd: always so much. sources: asked every `refresh` seconds; a rate counts for `max_age` seconds.
    spread: percent that sources may differ by and still agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: Dollars | None = None
    sources: Annotated[tuple[SourceConfig, ...], Field(max_length=8)] = ()
    refresh: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    max_age: Annotated[float, Field(ge=10, le=604_800)] = 3600.0
    spread: Annotated[Decimal, NoFloat, Field(gt=0, le=20)] = Decimal(2)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.usd is not None and self.sources:
            raise ValueError("usd and sources both say what a unit is worth: leave one of them out")
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name")
        return self

    @property
    def told(self) -> bool:
        """Whether anybody says what a dollar is worth."""
        return self.usd is not None or bool(self.sources)


class Rates:
    """Keeps `money` as the config says, used as `async with`; without a config it knows no rate."""

    def __init__(self, config: MoneyConfig) -> None:
        self._config = config
        fixed = None if config.usd is None else Rate(config.usd, "config")
        self.money = Money(fixed, max_age=config.max_age if config.sources else float("inf"))
        self._life = contextlib.AsyncExitStack()
        self._clients: list[tuple[SourceConfig, HttpClient]] = []

    async def __aenter__(self) -> Self:
        for source in self._config.sources:
            origin = urlsplit(source.url)
            endpoint = Endpoint(
                f"{origin.scheme}://{origin.netloc}", timeout=PATIENCE, max_response=MAX_BODY
            )
            client = await self._life.enter_async_context(HttpClient(endpoint))
            self._clients.append((source, client))
        if self._clients:
            group = await self._life.enter_async_context(asyncio.TaskGroup())
            task = group.create_task(self._run(), name="rates")
            self._life.callback(task.cancel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Without the body's error, which a TaskGroup would wrap in a group.
        await self._life.aclose()
        self._clients.clear()

    async def refresh(self) -> None:
        """Ask all sources once, and take what they agree on. Raises Retry where that is nothing."""
        found = await asyncio.gather(*(_ask(*each) for each in self._clients))
        told = [each for each in found if isinstance(each, Rate)]
        try:
            rate = agreed(told, self._config.spread, of=len(self._clients))
        except Retry as error:
            failed = [each for each in found if isinstance(each, str)]
            raise Retry("; ".join([error.reason, *failed])) from None
        self.money.set(rate)

    async def _run(self) -> None:
        while True:
            try:
                await self.refresh()
            except Retry as error:
                log.warning("no rate of the dollar", reason=error.reason)
            except Exception as error:  # noqa: BLE001 - what one source says must not stop the node
                kind = type(error).__name__
                log.error("a defect of the dollar's rate", error=kind)  # noqa: TRY400 - a traceback may quote keys
            await asyncio.sleep(self._config.refresh)


def agreed(told: Sequence[Rate], spread: Decimal, *, of: int) -> Rate:
    """Return the middle of what most sources say within `spread` percent of each other.

    of: how many were asked. One alone is believed only where no other was. Raises Retry.
    """
    ranked = sorted(told)
    room = 1 + spread / 100
    groups = [[rate for rate in ranked if low.usd <= rate.usd <= low.usd * room] for low in ranked]
    best = max(groups, key=len, default=[])
    if len(best) < min(2, of) or not best:
        said = ", ".join(f"{rate.source} {rate.usd:f}" for rate in ranked) or "nothing"
        raise Retry(f"sources of the dollar's rate do not agree: {said}")
    middle = best[(len(best) - 1) // 2]
    return Rate(middle.usd, ", ".join(sorted(rate.source for rate in best)))


def at_pointer(data: bytes, pointer: str) -> Decimal:
    """Return the number, or the decimal string, at a JSON pointer. Raises Retry for anything else."""
    value: Any = decode(_json, data, "no JSON")
    try:
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            value = value[int(key)] if isinstance(value, list) else value[key]
        # What the text says, not what a binary float makes of it.
        usd = Decimal(str(value)) if isinstance(value, int | float | str) else Decimal("NaN")
    except (KeyError, IndexError, ValueError, TypeError, ArithmeticError):
        raise Retry(f"no number at {one_line(pointer)}") from None
    if isinstance(value, bool) or not usd.is_finite() or not LEAST <= usd <= MOST:
        raise Retry(f"no rate of the dollar at {one_line(pointer)}: {one_line(str(value))[:40]}")
    return usd


async def _ask(source: SourceConfig, client: HttpClient) -> Rate | str:
    """Return what one source says, or why it says nothing."""
    url = urlsplit(source.url)
    path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    try:
        data = await client.ask("GET", path, None, PATIENCE, MAX_BODY)
        return Rate(at_pointer(data, source.pointer), source.name)
    except (Retry, Refuse) as error:
        return f"{source.name}: {error.reason}"
