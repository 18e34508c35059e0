"""Any OpenAI-compatible server: llama.cpp, vLLM, Ollama and the networks that sell tokens."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.compute.backends.http import HttpBackend, HttpConfig, Text
from vagus.compute.base import Answer, Barred, Completion, Delta, Model
from vagus.compute.config import Label
from vagus.compute.listing import Listed, Listing, PriceUnit, usd_per_million
from vagus.compute.money import Money
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry

__all__ = ["ModelConfig", "OpenAIBackend", "OpenAIConfig"]


class ModelConfig(BaseModel):
    """A model that a server runs; what is unknown is left out.

    served_as: the server's own name for it, where it differs. weights: sha256, 64 hex digits.
    context: tokens of prompt and answer together; without it, what the server lists counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    served_as: Text | None = None
    revision: Text | None = None
    quantization: Text | None = None
    weights: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None
    context: Annotated[int, Field(ge=1, le=1 << 30)] | None = None

    def model(self) -> Model:
        """Return the model as requesters pin it."""
        return Model(self.name, self.revision, self.quantization, self.weights)


class OpenAIConfig(HttpConfig):
    """`kind = "openai"`. Without models, those that the server lists are taken, by name alone.

    prices: where they are from, `price` here or the server's listing in USD; then price_unit says what
    a listed price is for, one token or a million, refresh after how many seconds it is read again, and
    max_age for how many it counts.
    """

    kind: Label = "openai"
    models: tuple[ModelConfig, ...] = ()
    prices: Literal["config", "listed"] = "config"
    price_unit: PriceUnit = "token"
    refresh: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    max_age: Annotated[float, Field(ge=10, le=604_800)] = 3600.0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        listed = [model.model() for model in self.models]
        if len(set(listed)) != len(listed):
            raise ValueError("the same model is listed twice")
        return self

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if self.prices == "listed" and "price" in self.model_fields_set:
            raise ValueError('price counts with prices = "config" alone: say that, or leave it out')
        return self


class OpenAIBackend(HttpBackend[OpenAIConfig]):
    """One server, one pool of connections."""

    Config = OpenAIConfig

    def __init__(self, config: OpenAIConfig) -> None:
        super().__init__(config)
        self._models = {model.model(): model for model in config.models}
        self._price = config.price.price()
        self._money = Money()
        self.in_dollars = config.prices == "listed"
        self._listing = Listing(self._fetch, max_age=config.max_age)

    def price_by(self, money: Money) -> None:
        """Take what turns a listing's dollars into the unit of account."""
        self._money = money

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self.config.prices == "listed":
            group = await self._life.enter_async_context(asyncio.TaskGroup())
            task = group.create_task(
                self._listing.run(self.config.refresh), name=f"prices of {self.name}"
            )
            self._life.callback(task.cancel)
        return self

    async def models(self) -> tuple[Model, ...]:
        """Return the configured models, else those the server lists now."""
        if self._models:
            return tuple(self._models)
        # A task of its own reads the list anew where prices are in it.
        if self.config.prices == "config" or not self._listing.known:
            await self._listing.refresh()
        return tuple(Model(name) for name in self._listing.known)

    def price(self, model: Model) -> Price:
        """Return the configured price, the same for each model, or what the server lists."""
        name = self._served_as(model)
        if self.config.prices == "config":
            return self._price
        try:
            read, written = usd_per_million(self._listing.fresh(name), self.config.price_unit)
        except (Retry, Refuse) as error:
            raise Retry(f"what {self.name} costs is not known: {error.reason}") from None
        return self._money.price(read, written, f"{self.name}'s listing")

    def context(self, model: Model) -> int | None:
        """Return what the config says, else what the server listed when it was last asked."""
        name = self._served_as(model)
        if model in self._models and (said := self._models[model].context) is not None:
            return said
        listed = self._listing.known.get(name)
        return None if listed is None else listed.context

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says."""
        served_as = self._served_as(request.model)
        return await self.client.complete(request, served_as, timeout=timeout)

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, as the contract says."""
        served_as = self._served_as(request.model)
        async with contextlib.aclosing(
            self.client.stream(request, served_as, timeout=timeout)
        ) as pieces:
            async for piece in pieces:
                yield piece

    async def _fetch(self) -> tuple[Listed, ...]:
        return await self.client.models(timeout=self.config.timeout)

    def _served_as(self, model: Model) -> str:
        """Return the server's name for a model. Raises Barred for one that is not served."""
        if (configured := self._models.get(model)) is not None:
            return configured.served_as or configured.name
        if not self._models and model.name in self._listing.known and model == Model(model.name):
            return model.name
        raise Barred(f"backend {self.name} does not serve {model.name}")
