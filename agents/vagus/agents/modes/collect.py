"""collect and jury: every member's own answer counts.

collect hands all of them to the callback: RFC 8785 JSON, a list of {"signer", "output"} ascending
by signer; an output is its JSON value, its text, or 0x and hex digits where it is bytes. No
parameters.

jury counts votes: the outcome is the output that more than half of those gave who did not abstain.

    abstain     the output that is no vote, as text (0x and hex digits where it is bytes); none
    minimum     how many must vote, 2
    models      how many different models must have voted, 2

One of them alone is no proof of anything: these are modes for opinions, and each member's own
result is in what is signed, unchanged.
"""

from collections import Counter
from collections.abc import Mapping

from vagus.agents.document import Document
from vagus.agents.modes.base import CheckContext, Parameters, Result, Verdict, Verifier
from vagus.agents.modes.combined import check_combined
from vagus.agents.modes.values import Form, form_of, shown
from vagus.protocol import MAX_OUTPUT, MAX_SIGNERS, Intent, Json, Refuse, canonical

__all__ = ["Collect", "Jury"]


class _Counted(Verifier):
    """Every member runs; the outcome is a function of what they revealed, and that is the check."""

    runs_again = True
    combines = True

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        check_combined(self, ctx, own, proposed, document)
        counted = ctx.member in ctx.revealed
        reason = "this node's result is in it" if counted else "this node's result came too late"
        return Verdict(True, reason, {"results": len(ctx.revealed), "counted": counted})


class Collect(_Counted):
    """All answers, side by side."""

    def combine(self, intent: Intent, results: Mapping[bytes, Result]) -> bytes:
        """Return the list; what is no output of the agent's form is left out."""
        form, found = form_of(self.manifest), list[Json]()
        for member in sorted(results):
            try:
                output = shown(results[member].output, form)
            except Refuse:
                continue  # an output that this agent can't have given
            found.append({"signer": "0x" + member.hex(), "output": output})
        data = canonical(found)
        if not found:
            raise Refuse("no member revealed an output that can be handed on")
        if len(data) > MAX_OUTPUT:
            raise Refuse(f"the answers together have {len(data)} bytes, at most {MAX_OUTPUT} fit")
        return data


class Jury(_Counted):
    """The majority of those who vote."""

    def _read(self, parameters: Parameters) -> None:
        self._minimum = parameters.count("minimum", 2, 1, MAX_SIGNERS)
        self._models = parameters.count("models", 2, 0, MAX_SIGNERS)
        abstain = parameters.text("abstain", "")
        self._abstain = abstain.encode()
        if form_of(self.manifest) is Form.BYTES:
            try:
                self._abstain = bytes.fromhex(abstain.removeprefix("0x"))
            except ValueError:
                parameters.wrong("abstain", "it must be 0x and hex digits: the outputs are bytes")

    def combine(self, intent: Intent, results: Mapping[bytes, Result]) -> bytes:
        """Return the verdict; Refuse where too few voted or none has the majority."""
        votes = [each for each in results.values() if each.output != self._abstain]
        if len(votes) < self._minimum:
            raise Refuse(f"{len(votes)} of the jury voted, {self._minimum} are needed")
        models = len({each.model_digest for each in votes})
        if models < self._models:
            raise Refuse(f"{models} models voted, {self._models} different ones are needed")
        output, most = Counter(each.output for each in votes).most_common(1)[0]
        if 2 * most <= len(votes):
            raise Refuse(f"the jury is hung: at most {most} of {len(votes)} votes agree")
        return output
