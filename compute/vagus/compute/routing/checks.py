"""Whether an answer is the trusted model's, in one of two ways.

    rescored   the trusted backend reads the answer's tokens again (`Backend.rescore`): at temperature 0
               each must have been its likeliest, but for the noise of arithmetic
    known      the trusted backend answers too, and the two must begin alike

The first tells models apart that are nearly the same. It needs a trusted backend that rescores, and the
answer's token ids; who leaves them out is checked by the second.
"""

from vagus.compute.base import Answer, Backend, Completion
from vagus.compute.routing.sequential import KNOWN, RESCORED, Check
from vagus.protocol import Refuse

__all__ = ["TIMEOUT", "check", "known", "rescored"]

# Tokens of an answer that are read again, and characters of one that are compared.
READ, BEGINNING = 48, 32
# What a gap may be at most, and all of an answer's together, in nats: on average what the agents' mode
# `rescoring` takes. Noise comes in single gaps, which a short answer has no others to be averaged with.
WORST, ALL = 0.5, 0.01 * READ
TIMEOUT = 120.0


async def check(trusted: Backend, request: Completion, answer: Answer) -> tuple[bool, Check]:
    """Return whether an answer to a request at temperature 0 passes, and by which check.

    Raises Retry and Refuse as the trusted backend does: then nothing is known.
    """
    whole = len(answer.ids) == answer.usage.completion
    if trusted.rescores and answer.ids and whole:
        return await rescored(trusted, request, answer), RESCORED
    return await known(trusted, request, answer), KNOWN


async def known(trusted: Backend, request: Completion, answer: Answer) -> bool:
    """Return whether the trusted backend's answer begins as this one."""
    own = await trusted.complete(request, timeout=TIMEOUT)
    return own.text[:BEGINNING] == answer.text[:BEGINNING]


async def rescored(trusted: Backend, request: Completion, answer: Answer) -> bool:
    """Return whether the trusted backend would have written the answer's tokens."""
    try:
        found = await trusted.rescore(request, answer.ids[:READ], timeout=TIMEOUT)
    except Refuse:
        # Tokens that it would never write. Or it refuses on its own account: then it does not answer
        # either, and that is raised.
        return (await trusted.complete(request, timeout=TIMEOUT)).text == answer.text
    if sum(found.gaps) > ALL or max(found.gaps) > WORST:
        return False
    if len(answer.ids) > READ:
        return answer.text.startswith(found.text)
    return answer.text == found.text and found.ended == (answer.finish_reason == "stop")
