"""`chat@1`: one question, one answer.

Payload: JSON `{"prompt": "…"}`. Output: the answer's UTF-8 text. At temperature 0 on one model and
engine the same prompt has the same answer, so followers verify it by running it again. An answer
that reached max_tokens ends there. An empty one is refused: asked again, it would be empty again.
"""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vagus.agents.base import Agent
from vagus.agents.context import Context
from vagus.agents.manifest import AgentConfig, Mode
from vagus.compute import Message
from vagus.protocol import Refuse

__all__ = ["Chat", "ChatConfig", "ChatInput"]


class ChatInput(BaseModel):
    """The payload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, StringConstraints(min_length=1)]


class ChatConfig(AgentConfig):
    """max_tokens: the longest answer."""

    max_tokens: Annotated[int, Field(ge=1, le=2048)] = 128


class Chat(Agent):
    """Hands the prompt to the routed model as it is: data, never a template."""

    name = "chat"
    version = "1.0.0"
    Input = ChatInput
    Output = str
    Config = ChatConfig
    mode: ClassVar[Mode] = Mode(name="exact")
    config: ChatConfig

    async def run(self, ctx: Context, question: ChatInput, /) -> str:
        """Ask once, at temperature 0."""
        prompt = Message("user", question.prompt)
        answer = await ctx.chat([prompt], max_tokens=self.config.max_tokens)
        if not answer.text:
            raise Refuse("the model answered nothing")
        return answer.text
