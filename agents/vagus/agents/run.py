"""One run of an agent, from payload bytes to output bytes: what the node calls."""

import asyncio
import traceback
from typing import Any

from vagus.agents.base import Agent
from vagus.agents.context import Context
from vagus.protocol import Halt, Refuse, Retry

__all__ = ["execute"]


async def execute(agent: Agent, ctx: Context, payload: bytes, value: Any = None) -> bytes:
    """Decode, run within the context's deadline, encode. value: the payload, where it is decoded already.

    Raises Refuse, Retry (also at the deadline) and Halt, whatever the agent does. A defect of the
    agent is a Refuse; its type and place are logged, its message is not: it may quote the payload.
    What the tasks of a TaskGroup raise counts as if the agent had raised it.
    """
    try:
        async with asyncio.timeout_at(ctx.deadline):
            value = agent.decode(payload) if value is None else value
            return agent.encode(await agent.run(ctx, value))
    except (Retry, Refuse, Halt):
        raise
    except TimeoutError:
        raise Retry(f"{ctx.agent_id} did not finish in its time") from None
    except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the node
        if (word := _word_of(error)) is not None:
            raise word from None
        kind = type(error).__name__
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}:{last.lineno}"
        ctx.log.error("agent failed", error=kind, at=where)  # noqa: TRY400 - a traceback quotes the payload
        raise Refuse(f"{ctx.agent_id} failed: {kind}") from None


def _word_of(error: Exception) -> Halt | Refuse | Retry | None:
    """Return what a task group's tasks said, the gravest first; None if one of them is a defect."""
    if not isinstance(error, ExceptionGroup):
        return None
    left = list(error.exceptions)
    words: list[Halt | Refuse | Retry] = []
    while left:
        each = left.pop(0)
        if isinstance(each, ExceptionGroup):
            left += each.exceptions
        elif isinstance(each, Halt | Refuse | Retry):
            words.append(each)
        else:
            return None
    return min(words, key=lambda word: (not isinstance(word, Halt), isinstance(word, Retry)))
