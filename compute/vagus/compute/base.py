"""The contract of a backend: a place that runs models.

A request is a `Completion`, its result an `Answer`. What goes wrong carries its action:

    Retry(reason, after)   the same request may succeed later or elsewhere: connection refused or
                           cut, a timeout, 408, 429 (its Retry-After), 5xx, an answer that breaks
                           the protocol or a bound
    Refuse(reason)         the same request fails here each time: 400, 401, 402, 403, 404, a
                           redirect, a prompt over the model's context, a model not served

Nothing else leaves a backend but cancellation. A backend never retries: one place decides.
"""

import abc
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import ClassVar, Literal, Self

import msgspec

from vagus.compute.bounds import check_messages, check_range, check_schema
from vagus.compute.config import BackendConfig
from vagus.compute.price import Price, Usage
from vagus.protocol import Refuse, model_digest

__all__ = [
    "Alternative",
    "Answer",
    "Backend",
    "Completion",
    "Delta",
    "Message",
    "Model",
    "Times",
    "Token",
]


@dataclass(frozen=True)
class Model:
    """What a requester can pin. Unknown parts are None; `weights` is a sha256 in hex."""

    name: str
    revision: str | None = None
    quantization: str | None = None
    weights: str | None = None

    @cached_property
    def digest(self) -> bytes:
        """The model digest, 32 bytes: keccak256 of the four parts' RFC 8785 JSON."""
        return model_digest(self.name, self.revision, self.quantization, self.weights)


class Message(msgspec.Struct, frozen=True):
    """One turn of a chat. The content is text for the model, never a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one chat completion; out of bounds it is a Refuse, before any I/O.

    seed: 0 to 2^31 - 1. schema: a JSON schema the answer is held to (an object of at most 16 KiB,
    32 levels deep); engines differ in how much of it they enforce, so validate the answer again.
    logprobs: None for no tokens in the answer, else each token's logprob with that many (0 to 20)
    of the likeliest alternatives.
    """

    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: dict[str, object] | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        """Hold the bounds that protect the engines behind the backends."""
        check_messages([m.content for m in self.messages], self.stop)
        check_range("max_tokens", self.max_tokens, 1, 1 << 20)
        check_range("temperature", self.temperature, 0, 2)
        check_range("seed", self.seed, 0, (1 << 31) - 1)
        if self.logprobs is not None:
            check_range("logprobs", self.logprobs, 0, 20)
        if self.schema is not None:
            check_schema(self.schema)


class Alternative(msgspec.Struct, frozen=True):
    """A token the model might have chosen, with its natural-log probability."""

    text: str
    logprob: float


class Token(msgspec.Struct, frozen=True):
    """A token the model chose; `id` in the model's vocabulary where the engine tells it."""

    text: str
    logprob: float
    id: int | None = None
    top: tuple[Alternative, ...] = ()


class Times(msgspec.Struct, frozen=True):
    """Durations in seconds: waited for a free slot, until the first token, from start to end.

    `first` is None unless the answer was streamed. `total` includes `queued`.
    """

    queued: float
    first: float | None
    total: float


class Answer(msgspec.Struct, frozen=True):
    """A finished completion. `model` is what the server says it ran: a claim, not a proof."""

    text: str
    tokens: tuple[Token, ...]
    usage: Usage
    finish_reason: str
    model: str
    times: Times


class Delta(msgspec.Struct, frozen=True):
    """A piece of a streamed answer, in order; its tokens only where logprobs were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


class Backend(abc.ABC):
    """A place that runs models, used as `async with backend:` and only inside it.

    An implementation
    - takes its config alone, does no I/O before `__aenter__`, and names its config model `Config`;
    - raises from `__aenter__` Refuse for what a restart can't mend (no weights, no key file) and
      Retry for what it may; on either, nothing is left running;
    - serves any number of concurrent calls and bounds how many are under way;
    - treats what it receives as hostile: bounds size, depth and time while reading;
    - keeps keys out of errors, logs and its repr;
    - leaves on exit no task, process or connection, whatever state its calls were in.
    """

    Config: ClassVar[type[BackendConfig]]
    name: str
    region: str
    network: str
    engine: str

    def __init__(self, config: BackendConfig) -> None:
        self.name = config.name
        self.region = config.region
        self.network = config.network
        self.engine = config.engine

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Become usable."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release everything; calls still under way end with Retry or cancellation."""

    @abc.abstractmethod
    async def models(self) -> tuple[Model, ...]:
        """Return the models served here, at least one. Raises Retry or Refuse."""

    @abc.abstractmethod
    def price(self, model: Model) -> Price:
        """Return what a model's tokens cost here; Refuse for a model not served."""

    @abc.abstractmethod
    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion within `timeout` seconds, waiting for a free slot included.

        Raises Retry or Refuse, as the module says; a timeout is a Retry. Cancelling closes the
        connection: the server may have worked, and may charge, but the backend stays usable.
        """

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Yield a Delta for each piece, and last the whole Answer, as `complete` returns it.

        Raises as `complete` does, also between two pieces; then no Answer came. Close it with
        `contextlib.aclosing`: leaving it half read closes the connection.
        """
        raise Refuse(f"backend {self.name} does not stream")
        yield  # makes this a generator

    async def check(self, *, timeout: float) -> None:
        """Ask each model for one token: the only readiness that counts. Raises Retry or Refuse."""
        for model in await self.models():
            hello = (Message("user", "Hello"),)
            await self.complete(
                Completion(model=model, messages=hello, max_tokens=1), timeout=timeout
            )
