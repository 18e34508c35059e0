"""The contract of a backend: a place that runs models.

A request is a `Completion`, its result an `Answer`. What goes wrong carries its action:

    Retry(reason, after)   the same request may succeed later or elsewhere: connection refused or
                           cut, a timeout, 408, 429 (its Retry-After), 5xx, an answer that breaks
                           the protocol or a bound
    Spoilt(reason, after)  a Retry after an answer had begun to come, which may be charged for
    Refuse(reason)         the same request fails here each time: 400, a prompt over the model's
                           context
    Barred(reason)         a Refuse that is about this backend and not about the request: 401, 402
                           (no credit), 403, 404, a redirect, a name that leads to an address out of
                           reach, a model not served; others may serve

Nothing else leaves a backend but cancellation. A backend never retries: one place decides.
"""

import abc
import pathlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import ClassVar, Literal, Self

import msgspec
from coincurve import PrivateKey

from vagus.compute.bounds import check_messages, check_range, check_schema
from vagus.compute.chain import Readers
from vagus.compute.config import BackendConfig
from vagus.compute.money import Money
from vagus.compute.price import Price, Usage
from vagus.protocol import Refuse, Retry, model_digest

__all__ = [
    "Alternative",
    "Answer",
    "Backend",
    "Barred",
    "Completion",
    "Delta",
    "Message",
    "Model",
    "Proof",
    "Rescored",
    "Spoilt",
    "Times",
    "Token",
]


class Barred(Refuse):
    """A Refuse by a backend that won't serve this caller or this model; another backend may."""


class Spoilt(Retry):
    """A Retry by a backend that had begun to answer: it may charge for what can't be used."""


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
    of the likeliest alternatives. ids: whether the answer's token ids are wanted, all of them, as
    llama.cpp and vLLM tell them.
    """

    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: dict[str, object] | None = None
    logprobs: int | None = None
    ids: bool = False

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


class Proof(msgspec.Struct, frozen=True):
    """A signed response, as a confidential backend sends it.

    served_as: the model's name in the request. response: the body as it came. text is what was
    signed: both bodies' sha256, `request:response` in hex. signature: EIP-191 over text, 65 bytes
    in hex. image_digest: the image that the enclave says it runs. quote: a TDX quote that vouches
    for the address, in hex, empty for none; collateral: Intel's word on its platform, JSON;
    quoted_at: the Unix time in seconds at which both are judged.
    """

    served_as: str
    response: str
    text: str
    signature: str
    signing_address: str
    image_digest: str
    quote: str = ""
    collateral: str = ""
    quoted_at: int = 0


class Answer(msgspec.Struct, frozen=True):
    """A finished completion. `model` is what the server says it ran: a claim, not a proof.

    ids: the tokens' ids in the model's vocabulary, where they were asked for and the engine tells
    them; the one that ends the answer is among them. `tokens` may have fewer: an engine may take
    those that make up one character together. price: at which this answer was sold, where not all
    that the backend sells cost the same; one over what was said as the call began does not count.
    """

    text: str
    tokens: tuple[Token, ...]
    usage: Usage
    finish_reason: str
    model: str
    times: Times
    ids: tuple[int, ...] = ()
    proof: Proof | None = None
    price: Price | None = None


class Delta(msgspec.Struct, frozen=True):
    """A piece of a streamed answer, in order; its tokens only where logprobs were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


class Rescored(msgspec.Struct, frozen=True):
    """An answer's tokens, read again by the model that is said to have written them.

    gaps: for each token, how much likelier the likeliest one was there, in nats; 0 where it was
    the likeliest. prompt: tokens before the answer. text: the answer's, without the token that
    ends it; ended says whether the last token is one.
    """

    text: str
    gaps: tuple[float, ...]
    prompt: int
    ended: bool


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

    rescores: it can read an answer's tokens again. signs: it signs what it asks, with the node's key
    (`sign_with`). attests: it proves what it runs before it is sent anything, and by each answer.
    cancels: a call that is cancelled is not billed. rents: a call may make it rent a machine.
    in_dollars: what it asks is in US dollars, and no price without a rate.
    """

    Config: ClassVar[type[BackendConfig]]
    rescores: bool = False
    signs: bool = False
    attests: bool = False
    cancels: bool = False
    rents: bool = False
    in_dollars: bool = False
    _slots: int = 64
    name: str
    region: str
    network: str
    engine: str

    def __init__(self, config: BackendConfig) -> None:
        self.name = config.name
        self.region = config.region
        self.network = config.network
        self.engine = config.engine
        self._slots = config.max_in_flight

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def slots(self) -> int:
        """How many calls it takes at once, as it is now; 0 where another one would have to wait."""
        return self._slots

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
        """Return what a model's tokens cost here and now: at most, in a call that begins now.

        Raises Barred for a model not served, Retry while it is not known what it costs.
        """

    def context(self, model: Model) -> int | None:
        """Return the most tokens that a prompt and its answer may have together; None for unknown."""
        return None

    def keep_in(self, folder: pathlib.Path) -> None:  # noqa: B027 - most keep nothing
        """Take the folder for what must outlive the node, its data folder; called before `__aenter__`."""

    def sign_with(self, key: PrivateKey) -> None:  # noqa: B027 - most sign nothing
        """Take the node's transport key, where it has one: for who `signs`, before `__aenter__`."""

    def read_by(self, readers: Readers) -> None:  # noqa: B027 - most read no chain
        """Take what reads contracts, for who looks at a network's market; before `__aenter__`."""

    def price_by(self, money: Money) -> None:  # noqa: B027 - most have no use for it
        """Take what turns US dollars into the unit of account; called before `__aenter__`, if at all.

        Who prices in the unit of account has no use for it.
        """

    def used(self, model: Model, usage: Usage, elsewhere: Price | None) -> None:  # noqa: B027 - who rents nothing has no use for it
        """Be told what a call for a model came to, whoever served it; only who `rents` is told.

        elsewhere: what tokens cost at the cheapest of those who rent nothing, None for nobody.
        """

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

    async def rescore(
        self, request: Completion, tokens: Sequence[int], *, timeout: float
    ) -> Rescored:
        """Read token ids, in the model's vocabulary, as the answer to a request at temperature 0.

        Optional: `rescores` says whether a backend can. Raises as `complete` does, and Refuse for
        tokens that are no answer to the request.
        """
        raise Refuse(f"backend {self.name} does not rescore")

    async def check(self, *, timeout: float) -> None:
        """Ask each model for one token: the only readiness that counts. Raises Retry or Refuse."""
        for model in await self.models():
            hello = (Message("user", "Hello"),)
            await self.complete(
                Completion(model=model, messages=hello, max_tokens=1), timeout=timeout
            )
