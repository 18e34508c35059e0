"""Structured output: a schema of any kind that LangChain knows, and answers parsed into it."""

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from vagus.agents.langchain.exchange import Unfit
from vagus.agents.langchain.tools import read_tool
from vagus.agents.langchain.validation import read_json
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

if TYPE_CHECKING:
    from vagus.agents.langchain.chat_model import ChatVagus

__all__ = ["bind"]

METHODS = ("json_schema", "function_calling", "json_mode")


def bind(
    model: "ChatVagus",
    schema: dict[str, Any] | type,
    *,
    include_raw: bool,
    method: str = "json_schema",
    strict: bool | None = None,
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """Return `model | parser`, as `BaseChatModel.with_structured_output` describes it.

    With include_raw an answer that doesn't fit is in `parsing_error`, without it is a Refuse.
    """
    if method not in METHODS:
        raise Refuse(f"method is one of {', '.join(METHODS)}, not {one_line(method)}")
    tool = read_tool(schema)
    how = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema}}
    if method == "function_calling":
        asking = model.bind(tools=(tool,), tool_choice=tool.name, **how)
    else:
        named = {"name": tool.name, "schema": tool.parameters}
        format_ = {"type": "json_schema", "json_schema": named}
        asking = model.bind(response_format=format_, **how)
    parse = _Parser(schema)
    if not include_raw:
        return asking | RunnableLambda(parse, name="parse")

    def raw(value: LanguageModelInput, config: RunnableConfig) -> dict[str, Any]:
        try:
            return parse.beside(asking.invoke(value, config))
        except Unfit as error:
            return _unparsed(error.message, error)

    async def araw(value: LanguageModelInput, config: RunnableConfig) -> dict[str, Any]:
        try:
            return parse.beside(await asking.ainvoke(value, config))
        except Unfit as error:
            return _unparsed(error.message, error)

    return RunnableLambda(raw, araw, name="parse")


class _Parser:
    """Turns a message, which was held to the schema already, into a value of the schema's class."""

    def __init__(self, schema: dict[str, Any] | type) -> None:
        self._class = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None

    def __call__(self, message: AIMessage) -> Any:
        calls = message.tool_calls
        value = calls[0]["args"] if calls else read_json(message.text)
        if self._class is None:
            return value
        try:
            return self._class(**value)  # type: ignore[arg-type]  # an object, by its schema
        except (ValidationError, ValidationErrorV1) as error:
            name = self._class.__name__
            count = len(error.errors())
            raise Refuse(f"the model's answer is no {name}: {count} fields are wrong") from None

    def beside(self, message: AIMessage) -> dict[str, Any]:
        """Return the message and its value."""
        try:
            return {"raw": message, "parsed": self(message), "parsing_error": None}
        except Refuse as error:
            return _unparsed(message, error)


def _unparsed(message: AIMessage, error: Refuse) -> dict[str, Any]:
    return {"raw": message, "parsed": None, "parsing_error": error}
