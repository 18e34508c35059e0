"""One call: LangChain's messages and arguments as a context takes them, and its answer back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk

from vagus.agents.langchain.decision import TEXT, Call, Decision, as_json
from vagus.agents.langchain.messages import rendered
from vagus.agents.langchain.schemas import plain
from vagus.agents.langchain.tools import chosen, read_tools
from vagus.compute import Answer, Message
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["Exchange", "Options", "Unfit"]

ARGUMENTS = frozenset(
    {"max_tokens", "model", "parallel_tool_calls", "response_format", "temperature", "tool_choice"}
    | {"tools"}
)


class Unfit(Refuse):
    """An answer that breaks what was asked; `message` has its text as it came, and no calls."""

    def __init__(self, reason: str, message: AIMessage) -> None:
        super().__init__(reason)
        self.message = message


class Options(TypedDict):
    """What `Context.chat` takes beside the messages."""

    max_tokens: int
    temperature: float
    stop: tuple[str, ...]
    schema: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call to be made. decision is None where the answer is any text."""

    model: str
    decision: Decision | None
    messages: tuple[Message, ...]
    options: Options

    @classmethod
    def of(
        cls,
        model: str,
        messages: Sequence[BaseMessage],
        arguments: Mapping[str, Any],
        *,
        max_tokens: int,
        temperature: float,
        stop: Sequence[str],
    ) -> Self:
        """Read one call of LangChain's; arguments win over the defaults. Raises Refuse."""
        if unknown := arguments.keys() - ARGUMENTS:
            raise Refuse(f"ChatVagus does not know the argument {one_line(min(unknown))}")
        if arguments.get("model") not in (None, model):
            wanted = one_line(str(arguments["model"]))
            raise Refuse(f"the run's model is {model}, and its author can't make it {wanted}")
        decision = _decision(arguments)
        max_tokens = arguments.get("max_tokens", max_tokens)
        options = Options(
            max_tokens=max_tokens,
            temperature=arguments.get("temperature", temperature),
            stop=tuple(stop),
            schema=decision.schema(max_tokens) if decision else None,
        )
        told = rendered(messages, decision.instruction if decision else None)
        return cls(model, decision, told, options)

    def message(self, answer: Answer, number: int) -> AIMessage:
        """Return an answer, checked again; number is the call's in its run. Raises Unfit."""
        text, fault = answer.text, ""
        calls: tuple[Call, ...] = ()
        if self.decision is not None:
            try:
                text, calls = self.decision.read(answer.text)
            except Refuse as error:
                fault = error.reason
        if fault and answer.finish_reason == "length":
            most = self.options["max_tokens"]
            fault = f"the model's answer was cut at {most} tokens, allow it more"
        message = AIMessage(
            content=text,
            tool_calls=[
                # Ids that every node derives, and no other call of the run has.
                tool_call(name=name, args=arguments, id=f"call_{number}_{index}")
                for index, (name, arguments) in enumerate(calls)
            ],
            usage_metadata=_usage(answer),
            response_metadata={
                "model_name": self.model,
                "model_provider": "vagus",
                "finish_reason": answer.finish_reason,
            },
        )
        if fault:
            raise Unfit(fault, message)
        return message

    def last_chunk(self, answer: Answer, number: int) -> AIMessageChunk:
        """Return the end of a streamed answer: its figures, and all of it where it has a schema."""
        whole = self.message(answer, number)
        return AIMessageChunk(
            content="" if self.decision is None else whole.content,
            tool_call_chunks=[
                tool_call_chunk(
                    name=call["name"], args=as_json(call["args"]), id=call["id"], index=index
                )
                for index, call in enumerate(whole.tool_calls)
            ],
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
            chunk_position="last",
        )


def _decision(arguments: Mapping[str, Any]) -> Decision | None:
    """Return what tools and response_format leave to decide; None for plain text."""
    tools, forced = chosen(arguments.get("tool_choice"), read_tools(arguments.get("tools") or ()))
    schema = _answer_schema(arguments.get("response_format"))
    answer = None if schema is None else plain(schema)
    if not tools:
        return None if answer is None else Decision((), answer)
    parallel = bool(arguments.get("parallel_tool_calls"))
    return Decision(tools, None if forced else answer or TEXT, parallel)


def _answer_schema(response_format: object) -> object:
    """Return the schema of OpenAI's `response_format`, None where an answer is any text."""
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        match response_format.get("type"):
            case "text":
                return None
            case "json_object":
                return {"type": "object"}
            case "json_schema" if isinstance(response_format.get("json_schema"), Mapping):
                return response_format["json_schema"].get("schema")
    raise Refuse("response_format is none of text, json_object and json_schema")


def _usage(answer: Answer) -> UsageMetadata:
    read, written = answer.usage.prompt, answer.usage.completion
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
