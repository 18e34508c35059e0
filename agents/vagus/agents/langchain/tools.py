"""Tools as authors give them to LangChain, read into names, descriptions and plain schemas."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from vagus.agents.langchain.schemas import plain
from vagus.agents.langchain.validation import Schema
from vagus.compute.bounds import check_range, one_line
from vagus.protocol import Refuse

__all__ = ["Tool", "chosen", "read_tool", "read_tools"]

MAX_TOOLS = 64
MAX_DESCRIPTION = 4096
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model is told of a tool; parameters is a plain schema of an object."""

    name: str
    description: str
    parameters: Schema


def read_tools(tools: Sequence[Any]) -> tuple[Tool, ...]:
    """Return tools of any kind that LangChain knows. Raises Refuse, also for two of one name."""
    check_range("the number of tools", len(tools), 0, MAX_TOOLS)
    found: dict[str, Tool] = {}
    for tool in map(read_tool, tools):
        # The same one twice is a habit of LangChain's, a class and its schema beside each other.
        if found.setdefault(tool.name, tool).parameters != tool.parameters:
            raise Refuse(f"two tools have the name {tool.name}")
    return tuple(found.values())


def read_tool(tool: Any) -> Tool:
    """Return a tool: a function, a class, a BaseTool, or a dict as OpenAI's, Anthropic's or a schema.

    Raises Refuse for a name that is none, and for a schema out of bounds.
    """
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, BaseTool) and isinstance(tool.args_schema, dict):
        # A server's own words, as MCP sends them: they meet the bounds before LangChain.
        function: Any = {"name": tool.name, "parameters": tool.args_schema}
        function["description"] = tool.description
    elif isinstance(tool, Mapping):
        function = _function(tool)
    else:
        try:
            function = convert_to_openai_tool(tool)["function"]
        except RecursionError:
            raise Refuse("a tool's schema contains itself") from None
    name, description = function.get("name"), function.get("description") or ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refuse(f"a tool's name is {_NAME.pattern}, not {one_line(str(name))}")
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        raise Refuse(f"the description of tool {name} is no text of {MAX_DESCRIPTION} characters")
    try:
        parameters = plain(function.get("parameters") or {})
    except Refuse as error:
        raise Refuse(f"tool {name}: {error.reason}") from None
    if parameters.setdefault("type", "object") != "object":
        raise Refuse(f"tool {name}: the schema of its arguments must be an object's")
    parameters = {"properties": {}, "additionalProperties": False, **parameters}
    return Tool(name, description, parameters)


def chosen(choice: object, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], bool]:
    """Return the tools that a tool_choice leaves, and whether one of them must be called.

    choice: None or "auto"; "any", "required" or True; "none" or False; a name; OpenAI's dict of one.
    """
    if choice is None or choice == "auto":
        return tools, False
    if choice in ("none", False):
        return (), False
    if not tools:
        raise Refuse("tool_choice asks for a tool, but none is bound")
    if choice in ("any", "required", True):
        return tools, True
    name = choice
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        name = inner.get("name") if isinstance(inner, Mapping) else None
    left = tuple(tool for tool in tools if tool.name == name)
    if not left:
        raise Refuse(f"tool_choice asks for {one_line(str(name))}, which is no tool of this call")
    return left, True


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a dict's name, description and parameters, in OpenAI's words."""
    if tool.get("type") == "function" and isinstance(tool.get("function"), Mapping):
        inner: Mapping[str, Any] = tool["function"]
        return inner
    if "input_schema" in tool:
        return {**tool, "parameters": tool["input_schema"]}
    if "name" in tool:
        return tool
    if "title" in tool:
        return {
            "name": tool["title"],
            "description": tool.get("description"),
            "parameters": {word: tool[word] for word in tool if word != "description"},
        }
    raise Refuse("a tool given as a dict needs a name, a schema a title")
