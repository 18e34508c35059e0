"""What an agent's run is given, and all it is given: one routed model, time, a budget, a log.

No signer, key, journal or chain can be reached from here.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

import structlog

from vagus.compute import Answer, Backend, Completion, Delta, Message, Model, Price, Times, Usage
from vagus.compute.bounds import prompt_tokens_bound
from vagus.protocol import Refuse, Retry, keccak256

__all__ = ["Budget", "Call", "Context", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """A model at a backend."""

    backend: Backend
    model: Model


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many tokens written and so much spent, over all calls of a run.

    spend is in the smallest unit of the origin's coin; None is without limit.
    """

    max_tokens: int = 4096
    spend: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One finished model call, as the evidence has it; cost in the roster's unit of account."""

    route: Route
    reported_model: str
    usage: Usage
    price: Price
    cost: int
    times: Times
    finish_reason: str


class Context:
    """One run of one agent for one intent.

    deadline is a time of the running loop's clock (`loop.time()`).
    """

    def __init__(
        self,
        *,
        intent_id: bytes,
        agent_id: str,
        route: Route | None,
        deadline: float,
        budget: Budget,
        log: structlog.typing.FilteringBoundLogger | None = None,
    ) -> None:
        self.intent_id = intent_id
        self.agent_id = agent_id
        self.deadline = deadline
        self.budget = budget
        base = structlog.get_logger("vagus.agents") if log is None else log
        self.log: structlog.typing.FilteringBoundLogger = base.bind(
            intent="0x" + intent_id.hex(), agent=agent_id
        )
        self._route = route
        self._calls: list[Call] = []
        self._asked = 0
        self._tokens = 0
        self._spend = 0

    @property
    def calls(self) -> tuple[Call, ...]:
        """The finished model calls, in the order they finished."""
        return tuple(self._calls)

    @property
    def spent(self) -> int:
        """What the finished calls cost, in the roster's unit of account."""
        return sum(call.cost for call in self._calls)

    @property
    def model(self) -> Model:
        """The routed model; Refuse where the run has none."""
        return self._routed().model

    def remaining(self) -> float:
        """Seconds left until the deadline, never negative."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def seed(self, index: int = 0) -> int:
        """Return the seed of the run's index-th call, 31 bits: every node derives the same."""
        digest = keccak256(b"vagus-seed" + self.intent_id + index.to_bytes(8, "big"))
        return int.from_bytes(digest[:4], "big") >> 1

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        schema: dict[str, object] | None = None,
        logprobs: int | None = None,
    ) -> Answer:
        """Ask the routed model; the seed follows from the intent and the call's place.

        Raises Refuse over the budget or as the backend does, Retry as the backend does or when
        the deadline has passed.
        """
        asked = self._ask(messages, max_tokens, temperature, stop, schema, logprobs)
        with self._reserved(asked):
            answer = await asked.route.backend.complete(asked.request, timeout=asked.timeout)
            self._record(asked, answer)
        return answer

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        schema: dict[str, object] | None = None,
        logprobs: int | None = None,
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Ask as `chat` does, and yield a Delta for each piece; last the whole Answer.

        Raises as `chat` does, also between two pieces. Close it with `contextlib.aclosing`: a
        stream left half read has no Answer, so it is no call of the evidence.
        """
        asked = self._ask(messages, max_tokens, temperature, stop, schema, logprobs)
        pieces = asked.route.backend.stream(asked.request, timeout=asked.timeout)
        with self._reserved(asked):
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, Answer):
                        self._record(asked, piece)
                    yield piece

    def _ask(
        self,
        messages: Sequence[Message],
        max_tokens: int,
        temperature: float,
        stop: Sequence[str],
        schema: dict[str, object] | None,
        logprobs: int | None,
    ) -> "_Asked":
        """Return the next call, within bounds, time and budget."""
        route = self._routed()
        price = route.backend.price(route.model)
        request = Completion(
            model=route.model,
            messages=tuple(messages),
            max_tokens=max_tokens,
            temperature=temperature,
            seed=self.seed(self._asked),
            stop=tuple(stop),
            schema=schema,
            logprobs=logprobs,
        )
        self._asked += 1
        if (timeout := self.remaining()) <= 0:
            raise Retry("the intent's time for model calls is over")
        reserved = _worst_case(request, price)
        self._check(max_tokens, reserved)
        return _Asked(route, price, request, timeout, reserved)

    @contextlib.contextmanager
    def _reserved(self, asked: "_Asked") -> Iterator[None]:
        """Hold what a call may use while it runs, so that parallel calls can't pass the budget.

        A call that failed or was cancelled gives all of it back, one with an answer what is left.
        """
        self._tokens += asked.request.max_tokens
        self._spend += asked.reserved
        try:
            yield
        finally:
            self._tokens += asked.used - asked.request.max_tokens
            self._spend += asked.cost - asked.reserved

    def _record(self, asked: "_Asked", answer: Answer) -> None:
        asked.used, asked.cost = answer.usage.completion, asked.price.cost(answer.usage)
        self._calls.append(
            Call(
                route=asked.route,
                reported_model=answer.model,
                usage=answer.usage,
                price=asked.price,
                cost=asked.cost,
                times=answer.times,
                finish_reason=answer.finish_reason,
            )
        )

    def _routed(self) -> Route:
        if self._route is None:
            raise Refuse(f"{self.agent_id} asked for a model, but none was routed")
        return self._route

    def _check(self, tokens: int, cost: int) -> None:
        limit = self.budget.spend
        if self._tokens + tokens > self.budget.max_tokens:
            raise Refuse(f"{self.agent_id} passes its budget of {self.budget.max_tokens} tokens")
        if limit is not None and self._spend + cost > limit:
            raise Refuse(f"{self.agent_id} passes its budget of {limit} for compute")


@dataclass(slots=True)
class _Asked:
    """A call under way: reserved and cost in the roster's unit of account, used in tokens."""

    route: Route
    price: Price
    request: Completion
    timeout: float
    reserved: int
    used: int = 0
    cost: int = 0


def _worst_case(request: Completion, price: Price) -> int:
    bound = prompt_tokens_bound(message.content for message in request.messages)
    return price.cost(Usage(bound, request.max_tokens))
