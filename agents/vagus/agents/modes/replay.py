"""Running an agent again on the answers that another node got, each of them checked.

The agent itself makes the requests, so a leader can't have asked its model something else; the
answers come from the evidence, so no model writes anything. What comes out must be the output.
"""

import abc
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from vagus.agents.context import Context, Route
from vagus.agents.document import CallDocument, Document, RecordDocument
from vagus.agents.modes.base import CheckContext, Result
from vagus.agents.run import execute
from vagus.compute import (
    Answer,
    Backend,
    BackendConfig,
    Completion,
    Delta,
    Model,
    Price,
    Times,
    Usage,
)
from vagus.protocol import Halt, Refuse, Retry

__all__ = ["Replayed", "replay"]


class Replayed(Backend):
    """Answers an agent's requests by a document's calls; a subclass checks each of them.

    A request is told from others by its seed, which follows from its place in the run.
    """

    Config = BackendConfig

    def __init__(self, ctx: CheckContext, document: Document) -> None:
        super().__init__(BackendConfig(kind="replay", name="replay"))
        self.fault: Refuse | Retry | None = None
        self.again = Context(
            intent_id=ctx.intent.id,
            agent_id=ctx.agent.manifest.agent_id,
            route=Route(self, self.model(ctx, document)),
            deadline=ctx.deadline,
            budget=ctx.budget,
        )
        self._left: dict[int, tuple[CallDocument, RecordDocument]] = {}
        for call in document.calls:
            if call.record is None:
                raise Refuse("the evidence does not record what its calls are checked by")
            self._left[self.again.seed(call.record.index)] = (call, call.record)
        if len(self._left) != len(document.calls):
            raise Refuse("two calls in the evidence have the same place")

    @property
    def unasked(self) -> int:
        """How many calls the evidence has that the agent did not make."""
        return len(self._left)

    @abc.abstractmethod
    async def verify(self, request: Completion, call: CallDocument, record: RecordDocument) -> str:
        """Return the text of an answer once it is known to be one. Raises Refuse and Retry."""

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Return the recorded answer, checked."""
        try:
            return await self._answer(request)
        except (Refuse, Retry) as error:
            # An agent may catch it and answer something else: it is remembered.
            self.fault = self.fault or error
            raise

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Return the recorded answer, checked, in one piece."""
        answer = await self.complete(request, timeout=timeout)
        yield Delta(answer.text)
        yield answer

    async def _answer(self, request: Completion) -> Answer:
        if request.logprobs is not None:
            raise Refuse("an agent that reads its tokens' probabilities can't be run on a record")
        if request.seed not in self._left:
            raise Refuse("the agent asks its model something that the evidence does not have")
        call, record = self._left.pop(request.seed)
        if call.model.digest != "0x" + request.model.digest.hex():
            raise Refuse("the answer is of a model that this node does not ask")
        return Answer(
            text=await self.verify(request, call, record),
            tokens=(),
            usage=Usage(call.usage.prompt, call.usage.completion),
            finish_reason=call.finish,
            model=call.model.reported,
            times=Times(0, None, 0),
        )

    def model(self, ctx: CheckContext, document: Document) -> Model:
        """Return the model that answers must be of: the one that this node asks itself."""
        if ctx.route is None:
            raise Refuse("this node has no model to check the answer by")
        return ctx.route.model

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def models(self) -> tuple[Model, ...]:
        """Return the one model of the context's route."""
        return (self.again.model,)

    def price(self, model: Model) -> Price:
        """Return nothing: what the leader paid is in the evidence."""
        return Price()


async def replay(ctx: CheckContext, backend: Replayed, proposed: Result) -> None:
    """Refuse a result that the agent does not give on the recorded answers. Raises Retry too."""
    try:
        output = await execute(ctx.agent, backend.again, ctx.payload)
    except Halt as error:
        raise Refuse(f"the agent stops on the recorded answers: {error.reason}") from None
    except Refuse as error:
        raise backend.fault or error from None
    if backend.fault is not None:
        raise backend.fault
    if backend.unasked:
        raise Refuse(f"the evidence has {backend.unasked} calls that the agent does not make")
    if output != proposed.output:
        raise Refuse("the agent's output on the recorded answers is another")
