"""exact: run again, the same bytes.

For deterministic agents, and for models at temperature 0 on one pinned engine: engines differ in
about 2 to 3 % of their likeliest tokens. No parameters.
"""

from vagus.agents.document import Document
from vagus.agents.modes.base import CheckContext, Result, Verdict, Verifier

__all__ = ["Exact"]


class Exact(Verifier):
    """Output and model must be the member's own."""

    runs_again = True

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        if own is None or own.output != proposed.output:
            return Verdict(False, "this node's own run has another output")
        if own.model_digest != proposed.model_digest:
            return Verdict(False, "this node's own run used another model")
        return Verdict(True, "this node's own run has the same output")
