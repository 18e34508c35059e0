"""What an agent's run is given, and all it is given: one routed model, time, a budget, a log.

No signer, key, journal or chain can be reached from here.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from vagus.agents.sources import MAX_SOURCES, Source
from vagus.agents.zk import MAX_PROOFS, Proven, Proving
from vagus.compute import (
    Answer,
    Backend,
    Completion,
    Delta,
    Message,
    Model,
    Price,
    Proof,
    Times,
    Usage,
)
from vagus.compute.routing import Router, Served, Spend
from vagus.protocol import Refuse, Retry, keccak256

__all__ = ["Budget", "Call", "Context", "Record", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """A model at a backend, and at others that may answer a call of the run instead."""

    backend: Backend
    model: Model
    others: tuple[Backend, ...] = ()

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All of them."""
        return (self.backend, *self.others)


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many tokens written and so much spent, over all calls of a run.

    spend is in the smallest unit of the origin's coin; most is what tokens may cost at a backend, by
    its price of that moment. None is without limit.
    """

    max_tokens: int = 4096
    spend: int | None = None
    most: Price | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What a call left to be checked by: its tokens' ids, the backend's proof; None where none."""

    tokens: tuple[int, ...] | None
    proof: Proof | None


@dataclass(frozen=True, slots=True)
class Call:
    """One finished model call, as the evidence has it; cost in the roster's unit of account.

    index: its place in the order in which the run asked. route: the backend that answered. tries: how
    many were asked until one did. record: what shows that the answer is the model's, where the run
    keeps it.
    """

    index: int
    route: Route
    reported_model: str
    usage: Usage
    price: Price
    cost: int
    times: Times
    finish_reason: str
    tries: int = 1
    record: Record | None = None


class Context:
    """One run of one agent for one intent.

    deadline is a time of the running loop's clock (`loop.time()`). router: the node's, which knows
    its backends; without one the run has its own. record: calls keep what the agent's mode shows to
    others, as `Verifier.records` says. circuit: what proves the runs of the agent's circuit, in mode zk.
    secrets: what the requester has sealed, opened, by the sealed bytes and the host that they are for.
    keep: what makes durable how much is spent or held so far, before a call can cost it.
    """

    def __init__(
        self,
        *,
        intent_id: bytes,
        agent_id: str,
        route: Route | None,
        deadline: float,
        budget: Budget,
        router: Router | None = None,
        record: bool = False,
        circuit: Proving | None = None,
        secrets: Mapping[tuple[bytes, str], str] | None = None,
        keep: Callable[[int], Awaitable[None]] | None = None,
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
        self._record_calls = record
        self._calls: list[Call] = []
        self._sources: list[Source] = []
        self._circuit = circuit
        self._secrets = dict(secrets or {})
        self._proofs: list[Proven] = []
        self._asked = 0
        self._tokens = 0
        self._router = Router() if router is None else router
        self._spend = Spend(budget.spend, keep, budget.most)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The finished model calls, in the order they finished."""
        return tuple(self._calls)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What was read elsewhere than from a model, in the order in which it was cited."""
        return tuple(self._sources)

    @property
    def proofs(self) -> tuple[Proven, ...]:
        """The proven runs of the agent's circuit, in the order they finished."""
        return tuple(self._proofs)

    @property
    def spent(self) -> int:
        """What the finished calls cost, in the roster's unit of account."""
        return sum(call.cost for call in self._calls)

    @property
    def lost(self) -> int:
        """What calls that gave no answer may cost besides: it is nobody's fee, but it is spent."""
        return self._spend.used - self.spent

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

    def secret(self, sealed: bytes, host: str) -> str:
        """Return what the agent's `sealed` named; keep it out of whatever is logged or returned.

        Raises Refuse for what it has not named, or where this run has no secrets.
        """
        try:
            return self._secrets[sealed, host]
        except KeyError:
            raise Refuse("this run has no such secret") from None

    def cite(self, source: Source) -> None:
        """Put what was read into the run's evidence. Raises Refuse for more than it has room for."""
        if len(self._sources) >= MAX_SOURCES:
            raise Refuse(f"{self.agent_id} reads more than {MAX_SOURCES} sources")
        self._sources.append(source)

    async def prove(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Run the agent's circuit on whole numbers, and put the proof into the evidence.

        A number is what it stands for times two to the power of its scale, as the circuit's settings
        have it; so are the outputs, which are returned. For agents in mode `zk`. Raises Refuse for
        numbers that the circuit does not take, Retry where the time is over.
        """
        if self._circuit is None:
            raise Refuse(f"{self.agent_id} has a circuit prove, which mode zk alone has")
        if len(self._proofs) >= MAX_PROOFS:
            raise Refuse(f"{self.agent_id} has more than {MAX_PROOFS} runs proven")
        if (timeout := self.remaining()) <= 0:
            raise Retry("the intent's time for proving is over")
        proof = await self._circuit.prove(inputs, timeout=timeout)
        self._proofs.append(proof)
        return proof.outputs

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

        Raises Refuse over the budget or as the router does, Retry as the router does or when
        the deadline has passed.
        """
        asked = self._ask(messages, max_tokens, temperature, stop, schema, logprobs)
        with self._reserved(asked):
            served = await self._router.complete(
                asked.request, asked.backends, timeout=asked.timeout, spend=self._spend
            )
            self._record(asked, served)
        # How an answer is shown to others is not the agent's to read: a replay has none of it.
        return msgspec.structs.replace(served.answer, ids=(), proof=None)

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
        if self._record_calls:
            # Engines tell a stream's tokens in fragments or not at all: it is asked for whole.
            whole = await self.chat(
                messages,
                max_tokens=max_tokens,
                temperature=temperature,
                stop=stop,
                schema=schema,
                logprobs=logprobs,
            )
            yield Delta(whole.text, whole.tokens)
            yield whole
            return
        asked = self._ask(messages, max_tokens, temperature, stop, schema, logprobs)
        pieces = self._router.stream(
            asked.request, asked.backends, timeout=asked.timeout, spend=self._spend
        )
        with self._reserved(asked):
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, Served):
                        self._record(asked, piece)
                        yield piece.answer
                    else:
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
        """Return the next call, within bounds, time and tokens."""
        route = self._routed()
        request = Completion(
            model=route.model,
            messages=tuple(messages),
            max_tokens=max_tokens,
            temperature=temperature,
            seed=self.seed(self._asked),
            stop=tuple(stop),
            schema=schema,
            logprobs=logprobs,
            ids=self._record_calls,
        )
        index = self._asked
        self._asked += 1
        if (timeout := self.remaining()) <= 0:
            raise Retry("the intent's time for model calls is over")
        if self._tokens + max_tokens > self.budget.max_tokens:
            raise Refuse(f"{self.agent_id} passes its budget of {self.budget.max_tokens} tokens")
        return _Asked(index, route.backends, request, timeout)

    @contextlib.contextmanager
    def _reserved(self, asked: "_Asked") -> Iterator[None]:
        """Hold the tokens that a call may write while it runs: parallel calls can't pass the budget.

        A call that failed or was cancelled gives all of them back, one with an answer what is left.
        """
        self._tokens += asked.request.max_tokens
        try:
            yield
        finally:
            self._tokens += asked.used - asked.request.max_tokens

    def _record(self, asked: "_Asked", served: Served) -> None:
        answer = served.answer
        asked.used = answer.usage.completion
        self._calls.append(
            Call(
                index=asked.index,
                route=Route(served.backend, asked.request.model),
                reported_model=answer.model,
                usage=answer.usage,
                price=served.price,
                cost=served.cost,
                times=answer.times,
                finish_reason=answer.finish_reason,
                tries=len(served.tried),
                record=_record_of(answer) if self._record_calls else None,
            )
        )

    def _routed(self) -> Route:
        if self._route is None:
            raise Refuse(f"{self.agent_id} asked for a model, but none was routed")
        return self._route


@dataclass(slots=True)
class _Asked:
    """A call under way; used in tokens."""

    index: int
    backends: tuple[Backend, ...]
    request: Completion
    timeout: float
    used: int = 0


def _record_of(answer: Answer) -> Record:
    whole = len(answer.ids) == answer.usage.completion
    return Record(tokens=answer.ids if whole else None, proof=answer.proof)
