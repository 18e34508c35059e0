"""`stance@1`: counts where comments on a proposal stand.

Payload: JSON `{"proposal": "…", "comments": ["…", …]}`, 1 to 16 comments. Output: three words of an
ABI, 96 bytes: `abi.decode(output, (uint256, uint256, uint256))` gives those for it, against it and
unclear.
"""

import asyncio
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vagus.agents import Agent, Context, Mode, ask_model

# The author's words alone: what strangers wrote goes into the message beside it.
TASK = "The user's message is JSON. Say whether its comment is for or against its proposal."


class Debate(BaseModel):
    """The payload."""

    model_config = ConfigDict(extra="forbid")

    proposal: Annotated[str, Field(min_length=1, max_length=1000)]
    comments: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)]],
        Field(min_length=1, max_length=16),
    ]


class Answer(BaseModel):
    """What the model is held to."""

    model_config = ConfigDict(extra="forbid")

    stance: Literal["for", "against", "unclear"]


class StanceAgent(Agent):
    """Asks the model once for each comment: no comment is in the prompt of another."""

    name = "stance"
    version = "1.0.0"
    Input = Debate
    Output = bytes
    mode = Mode(name="fields", parameters={"rule": "median"})

    async def run(self, ctx: Context, debate: Debate, /) -> bytes:
        """Return the three counts."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_stance(ctx, debate, each)) for each in debate.comments]
        counts = Counter(task.result() for task in asked)
        stances = ("for", "against", "unclear")
        return b"".join(counts[stance].to_bytes(32, "big") for stance in stances)


async def _stance(ctx: Context, debate: Debate, comment: str) -> str:
    data = {"proposal": debate.proposal, "comment": comment}
    return (await ask_model(ctx, TASK, data, Answer, max_tokens=32)).stance
