"""rescoring: the leader's tokens, read by the same model, must be what it would have written.

The agent is run again on the leader's answers, and each answer's tokens are handed to this node's
own model: at temperature 0 the model writes its likeliest token, so the gap between the likeliest
one and the one that was written is nothing but the noise of arithmetic. One forward pass instead
of a whole run. docs/modes.md has what was measured, and how the defaults follow.

    mean     the most that a gap may be on average over an answer's tokens, in nats
    worst    the most that one gap may be

For free text at temperature 0, without schemas and stop texts. It tells which model wrote an
answer, and with what weights; it is as good as the answer is long.
"""

import decimal
from collections.abc import Sequence

from vagus.agents.document import CallDocument, Document, RecordDocument
from vagus.agents.modes.base import CheckContext, Parameters, Result, Verdict, Verifier
from vagus.agents.modes.replay import Replayed, replay
from vagus.compute import Backend, Completion
from vagus.protocol import Refuse

__all__ = ["MEAN", "WORST", "Rescoring"]

MEAN, WORST = "0.01", "0.5"


class Rescoring(Verifier):
    """Reads the leader's tokens again."""

    records = True

    def _read(self, parameters: Parameters) -> None:
        self._mean = parameters.fraction("mean", MEAN)
        self._worst = parameters.fraction("worst", WORST)

    def require(self, backends: Sequence[Backend]) -> None:
        """Refuse where no backend can rescore."""
        if not any(backend.rescores for backend in backends):
            raise Refuse(
                f"{self.manifest.agent_id} is verified by rescoring, which no backend here can:"
                ' kind = "local" can'
            )

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        rescored = _Rescored(ctx, document)
        await replay(ctx, rescored, proposed)
        if not rescored.gaps:
            raise Refuse("the agent asked no model, so there is nothing to rescore")
        means = [sum(gaps) / len(gaps) for gaps in rescored.gaps]
        mean, worst = _nats(max(means)), _nats(max(max(gaps) for gaps in rescored.gaps))
        measured: dict[str, str | int | bool] = {
            "tokens": sum(len(gaps) for gaps in rescored.gaps),
            "mean": format(mean, "f"),
            "worst": format(worst, "f"),
        }
        if mean > self._mean or worst > self._worst:
            return Verdict(False, "this node's model would not have written that", measured)
        return Verdict(True, "this node's model would have written the same", measured)


class _Rescored(Replayed):
    """Checks an answer by this node's model, and keeps the gaps."""

    def __init__(self, ctx: CheckContext, document: Document) -> None:
        super().__init__(ctx, document)
        self.gaps: list[tuple[float, ...]] = []
        able = () if ctx.route is None else (each for each in ctx.route.backends if each.rescores)
        self._able = next(iter(able), None)

    async def verify(self, request: Completion, call: CallDocument, record: RecordDocument) -> str:
        """Return the text of the tokens."""
        if not record.tokens:
            raise Refuse("the evidence has no token ids to rescore")
        if self._able is None:
            raise Refuse("no backend of this node that serves the model can rescore")
        left = self.again.remaining()
        found = await self._able.rescore(request, record.tokens, timeout=left)
        ending = "stop" if found.ended else "length"
        if call.finish != ending or not (found.ended or len(record.tokens) == request.max_tokens):
            raise Refuse("the answer ends where its tokens do not")
        if (found.prompt, len(record.tokens)) != (call.usage.prompt, call.usage.completion):
            raise Refuse("the evidence counts other tokens than the answer has")
        self.gaps.append(found.gaps)
        return found.text


def _nats(value: float) -> decimal.Decimal:
    """Return nats with six decimals: what is compared is what is signed."""
    return decimal.Decimal(value).quantize(decimal.Decimal("0.000001"))
