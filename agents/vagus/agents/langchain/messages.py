"""LangChain's messages as the three roles that every engine knows: system, user, assistant.

Content is data: text goes in as it is, nothing is formatted as a template, and nothing is loaded,
whatever keys it has. A tool's result is a JSON string in a user's turn: quotes can't end it, and
the marks of chat templates are escaped, so it can't begin a turn of its own.
"""

from collections.abc import Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from vagus.agents.langchain.decision import as_json
from vagus.agents.structured import as_data
from vagus.compute import Message
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["rendered", "text_of"]

# What an assistant's own message holds beside its text: calls are in tool_calls, thoughts are over.
SILENT = frozenset(
    {"tool_call", "tool_use", "invalid_tool_call", "thinking", "redacted_thinking", "reasoning"}
)


def rendered(messages: Sequence[BaseMessage], instruction: str | None) -> tuple[Message, ...]:
    """Return a conversation for a backend. Raises Refuse for what is no text.

    The instruction joins the first system message. Turns of one role in a row are joined: many
    chat templates take no two.
    """
    turns: list[tuple[str, str]] = [("system", instruction)] if instruction else []
    if instruction and messages and isinstance(messages[0], SystemMessage):
        turns = [("system", f"{text_of(messages[0])}\n\n{instruction}")]
        messages = messages[1:]
    called: dict[str | None, str] = {}
    for message in messages:
        called |= {call["id"]: call["name"] for call in getattr(message, "tool_calls", ())}
        role, text = _turn(message, called)
        if turns and turns[-1][0] == role:
            turns[-1] = (role, f"{turns[-1][1]}\n\n{text}")
        else:
            turns.append((role, text))
    return tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]  # _turn's


def text_of(message: BaseMessage) -> str:
    """Return a message's text. Raises Refuse for images, sound, files and what else is no text."""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        text = block if isinstance(block, str) else block.get("text")
        if kind == "text" and isinstance(text, str):
            texts.append(text)
        elif not (isinstance(message, AIMessage) and kind in SILENT):
            raise Refuse(f"ChatVagus takes text alone, not {one_line(str(kind))}")
    return "\n".join(texts)


def _turn(message: BaseMessage, called: dict[str | None, str]) -> tuple[str, str]:
    text = text_of(message)
    match message:
        case SystemMessage():
            return "system", text
        case HumanMessage():
            return "user", text
        case AIMessage():
            calls = [{"tool": c["name"], "arguments": c["args"]} for c in message.tool_calls]
            if not calls:
                return "assistant", text
            reply = as_json({"reply": calls[0] if len(calls) == 1 else {"calls": calls}})
            return "assistant", f"{text}\n{reply}" if text else reply
        case ToolMessage():
            name = called.get(message.tool_call_id) or message.name or "unknown"
            return "user", as_data({"tool": name, "status": message.status, "result": text})
        case _:
            raise Refuse(f"ChatVagus knows no messages of type {one_line(message.type)}")
