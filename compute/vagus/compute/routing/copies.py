"""Requests of the traffic, kept to be asked again of whoever was allowed to see them and did not.

Who is asked what it was asked before would know a check by that: a prompt that a backend has seen, in
whatever call, is nothing to check it with.
"""

import random
from collections.abc import Set

from vagus.compute.base import Completion, Message, Model

__all__ = ["Copies"]

# Requests kept; and the most tokens of an answer, and bytes of a prompt, that a check may cost.
KEPT, LONGEST, LONGEST_PROMPT = 64, 512, 2048

_Prompt = tuple[Model, tuple[Message, ...]]


class Copies:
    """The newest requests; `source` chooses among them."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        # Each with the names of those who may be asked it; by prompt, the oldest first.
        self._kept: dict[_Prompt, tuple[Completion, Set[str]]] = {}

    def saw(self, request: Completion, allowed: Set[str], tried: Set[str]) -> None:
        """Take in a request that some backends were allowed to see, and some were asked."""
        prompt = request.model, request.messages
        before = self._kept.get(prompt)
        if before is not None:
            self._kept[prompt] = before[0], (before[1] & allowed) - tried
        elif allowed - tried and _checkable(request):
            self._kept[prompt] = request, allowed - tried
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]

    def draw(self, backend: str, model: Model) -> Completion | None:
        """Return a request that this backend was not asked yet, and is asked now; None where there is none."""
        found = [
            prompt
            for prompt, (_, fresh) in self._kept.items()
            if backend in fresh and prompt[0] == model
        ]
        if not found:
            return None
        prompt = self._source.choice(found)
        request, fresh = self._kept[prompt]
        self._kept[prompt] = request, fresh - {backend}
        return request


def _checkable(request: Completion) -> bool:
    plain = request.temperature == 0 and request.schema is None and not request.stop
    size = sum(len(each.content.encode()) for each in request.messages)
    return plain and request.max_tokens <= LONGEST and size <= LONGEST_PROMPT
