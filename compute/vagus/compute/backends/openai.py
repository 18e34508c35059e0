"""Any OpenAI-compatible server: llama.cpp, vLLM, Ollama and the networks that sell tokens."""

import pathlib
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.compute.base import Answer, Backend, Completion, Delta, Model
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.config import BackendConfig, Label
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry

__all__ = ["ModelConfig", "OpenAIBackend", "OpenAIConfig"]

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ModelConfig(BaseModel):
    """A model that a server runs; what is unknown is left out.

    served_as: the server's own name for it, where it differs. weights: sha256, 64 hex digits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    served_as: Text | None = None
    revision: Text | None = None
    quantization: Text | None = None
    weights: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None

    def model(self) -> Model:
        """Return the model as requesters pin it."""
        return Model(self.name, self.revision, self.quantization, self.weights)


class OpenAIConfig(BackendConfig):
    """`kind = "openai"`. Without models, those that the server lists are taken, by name alone.

    api_key_file: holds the bearer token. Timeouts are seconds: to connect, of silence within
    a stream, and over all. max_response: bytes.
    """

    kind: Label = "openai"
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")]
    models: tuple[ModelConfig, ...] = ()
    api_key_file: pathlib.Path | None = None
    connect_timeout: Seconds = 5.0
    read_timeout: Seconds = 60.0
    timeout: Seconds = 120.0
    max_response: Annotated[int, Field(ge=1024, le=64 << 20)] = 2 << 20

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        listed = [model.model() for model in self.models]
        if len(set(listed)) != len(listed):
            raise ValueError("the same model is listed twice")
        return self


class OpenAIBackend(Backend):
    """One server, one pool of connections."""

    Config = OpenAIConfig

    def __init__(self, config: OpenAIConfig) -> None:
        super().__init__(config)
        self._config = config
        self._price = config.price.price()
        self._served = {m.model(): m.served_as or m.name for m in config.models}
        self._client: ChatClient | None = None

    async def __aenter__(self) -> Self:
        config = self._config
        endpoint = Endpoint(
            base_url=config.base_url,
            api_key=None if config.api_key_file is None else _read_key(config.api_key_file),
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
            timeout=config.timeout,
            max_response=config.max_response,
            max_in_flight=config.max_in_flight,
        )
        self._client = await ChatClient(endpoint).__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(kind, error, trace)

    async def models(self) -> tuple[Model, ...]:
        """Return the configured models, else those the server lists."""
        if not self._served:
            names = await self._open().names(timeout=self._config.timeout)
            self._served = {Model(name): name for name in names}
        return tuple(self._served)

    def price(self, model: Model) -> Price:
        """Return the configured price, the same for each model."""
        self._served_as(model)
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says."""
        served_as = self._served_as(request.model)
        return await self._open().complete(request, served_as, timeout=timeout)

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, as the contract says."""
        served_as = self._served_as(request.model)
        pieces = self._open().stream(request, served_as, timeout=timeout)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    def _served_as(self, model: Model) -> str:
        try:
            return self._served[model]
        except KeyError:
            raise Refuse(f"backend {self.name} does not serve {model.name}") from None

    def _open(self) -> ChatClient:
        if self._client is None:
            raise Retry(f"backend {self.name} is closed")
        return self._client


def _read_key(path: pathlib.Path) -> str:
    """Return the key in a file; Refuse when others may read it, or it holds no key."""
    try:
        mode = path.stat().st_mode
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refuse(f"the API key in {path} can't be read: {type(error).__name__}") from None
    if mode & 0o077:
        raise Refuse(f"the API key in {path} can be read by others: chmod 600 it")
    if not key or not key.isprintable() or " " in key:
        raise Refuse(f"{path} holds no API key: one line, without spaces")
    return key
