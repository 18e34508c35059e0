"""AkashML and io.net Intelligence on 127.0.0.1: tokens by OpenAI's API, from a scripted model.

What differs is what their documentation has: where the root is, how /models lists prices and contexts,
who may list them, how an error looks.
"""

import abc
from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from vagus.compute.sandbox.base import ApiError, Sandbox, json_response
from vagus.compute.sandbox.chat import LISTED, Chat, ScriptedModel

__all__ = ["AkashMLSandbox", "IonetIntelligenceSandbox", "TokenSandbox"]


class TokenSandbox(Sandbox):
    """An API that sells tokens. `models` are served; change an entry to change what one is.

    credit: whether there is any left; without, completions answer 402. rate: completions that are
    answered until the rest get 429 with `retry_after`, None for all.
    """

    listing_is_public: ClassVar[bool] = False

    def __init__(
        self, *, port: int = 0, upstream: str | None = None, models: tuple[ScriptedModel, ...] = ()
    ) -> None:
        super().__init__(port=port, upstream=upstream)
        self.chat = Chat(*(models or self.default_models()), upstream=upstream)
        self.credit = True
        self.rate: int | None = None
        self.retry_after = "7"

    def endow(self, credit: Decimal) -> None:
        """Let there be credit, or none: how much, nothing here counts."""
        self.credit = credit > 0

    @abc.abstractmethod
    def default_models(self) -> tuple[ScriptedModel, ...]:
        """Return what is served unless a caller says otherwise."""

    @abc.abstractmethod
    def listed(self, model: ScriptedModel) -> dict[str, object]:
        """Return a model's entry in the listing."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the two calls of the API."""
        return [
            web.get(f"{self.root}/models", self._models),
            web.post(f"{self.root}/chat/completions", self._complete),
        ]

    def error(self, status: int, message: str, code: str) -> object:
        """Return OpenAI's error."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}

    async def authenticate(self, request: web.Request) -> None:
        """Know a caller by the bearer token."""
        if not (self.listing_is_public and request.path.endswith("/models")):
            await super().authenticate(request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        models = [self.listed(model) for model in self.chat.models.values()]
        return json_response({"object": "list", "data": models})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if not self.credit:
            raise ApiError(402, "no credit is left: top up", code="insufficient_balance")
        if self.rate is not None:
            if self.rate <= 0:
                raise ApiError(
                    429,
                    "the rate limit is reached",
                    code="rate_limit_exceeded",
                    headers={"Retry-After": self.retry_after},
                )
            self.rate -= 1
        return await self.chat.complete(request)


class AkashMLSandbox(TokenSandbox):
    """AkashML: keys `akml-…`, a listing for those who have one, prices as strings."""

    root = "/v1"

    def __init__(
        self, *, port: int = 0, upstream: str | None = None, models: tuple[ScriptedModel, ...] = ()
    ) -> None:
        super().__init__(port=port, upstream=upstream, models=models)
        self.api_key = "akml-" + self.api_key

    def default_models(self) -> tuple[ScriptedModel, ...]:
        """Return two models under the names of real ones."""
        return (
            ScriptedModel("meta-llama/Llama-3.3-70B-Instruct", 131_072),
            ScriptedModel("Qwen/Qwen3-30B-A3B", 40_960),
        )

    def listed(self, model: ScriptedModel) -> dict[str, object]:
        """Return an entry with its pricing: USD a token, as strings."""
        return {
            "id": model.name,
            "object": "model",
            "created": LISTED,
            "owned_by": "akash",
            "context_length": model.context,
            "pricing": {"input": "0.00000013", "output": "0.0000004", "request": "0"},
        }


class IonetIntelligenceSandbox(TokenSandbox):
    """io.net Intelligence: a listing for everyone, prices as numbers; wants a User-Agent."""

    root = "/api/v1"
    listing_is_public = True

    def default_models(self) -> tuple[ScriptedModel, ...]:
        """Return two models under the names of real ones."""
        return (
            ScriptedModel("meta-llama/Llama-3.3-70B-Instruct", 128_000),
            ScriptedModel("mistralai/Mistral-Nemo-Instruct-2407", 128_000),
        )

    def listed(self, model: ScriptedModel) -> dict[str, object]:
        """Return an entry with its prices: USD a token, as numbers."""
        return {
            "id": model.name,
            "object": "model",
            "created": LISTED,
            "owned_by": "io-intelligence",
            "root": None,
            "parent": None,
            "max_model_len": None,
            "permission": [],
            "context_window": model.context,
            "input_token_price": 1.2e-07,
            "output_token_price": 3e-07,
        }

    def error(self, status: int, message: str, code: str) -> object:
        """Return an error as the documentation has it: one text."""
        return {"detail": message}

    async def authenticate(self, request: web.Request) -> None:
        """Turn away who does not say what it is, as its edge does."""
        if not request.headers.get("User-Agent"):
            raise ApiError(403, "a User-Agent is wanted")
        await super().authenticate(request)
