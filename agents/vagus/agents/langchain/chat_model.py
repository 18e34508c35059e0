"""`ChatVagus`: the routed model of a run, as a LangChain chat model.

    model = ChatVagus(ctx, max_tokens=256)
    answer = await model.bind_tools([search]).ainvoke("Who wrote Dubliners?")

Each call is one of the context's: its route, seed, budget and deadline hold, and the evidence has
it. Retry and Refuse come through as they are.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from vagus.agents.context import Context
from vagus.agents.langchain import structured
from vagus.agents.langchain.exchange import Exchange
from vagus.agents.langchain.loops import run_on, wait_on
from vagus.agents.langchain.tools import chosen, read_tools
from vagus.compute import Answer

__all__ = ["ChatVagus"]


class ChatVagus(BaseChatModel):
    """A chat model that asks by a context alone; made within a run, and gone with it.

    max_tokens: the longest answer, tool calls included. stop: texts that end one. loop: the event
    loop of the context's backend, the running one unless given. What else LangChain hands to chat
    models (timeout, max_retries, api_key) is not used: time, repeating and keys are the node's.
    """

    context: Context = Field(exclude=True, repr=False)
    loop: asyncio.AbstractEventLoop | None = Field(default=None, exclude=True, repr=False)
    max_tokens: int = 256
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    # LangChain's global cache would carry answers from one intent to the next, past the evidence.
    cache: BaseCache | bool | None = Field(default=False, exclude=True)

    def __init__(self, context: Context, **settings: Any) -> None:
        super().__init__(context=context, **settings)  # type: ignore[call-arg]  # a field, which mypy does not see through LangChain's __init__
        if self.loop is None:
            with contextlib.suppress(RuntimeError):
                self.loop = asyncio.get_running_loop()

    @property
    def _llm_type(self) -> str:
        return "vagus"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            "model": self.context.model.name,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        found = super()._get_ls_params(stop=stop or list(self.stop) or None, **kwargs)
        found.setdefault("ls_model_name", self.context.model.name)
        return found

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        tool_choice: None or "auto", "any" or "required", "none", or a tool's name. One call at a
        time unless parallel_tool_calls, and then at most four. Raises Refuse for a schema over 16
        KiB or 32 levels, or with words that are not enforced.
        """
        read = read_tools(tools)
        chosen(tool_choice, read)
        return self.bind(
            tools=read,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            **kwargs,
        )

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a model whose answers are a schema's: an instance of a pydantic class, or a dict.

        method: "json_schema", "function_calling" or "json_mode"; all hold the model to the schema.
        """
        return structured.bind(self, schema, include_raw=include_raw, **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._exchange(messages, stop, kwargs)
        return await run_on(self.loop, lambda: self._result(exchange))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._exchange(messages, stop, kwargs)
        return wait_on(self.loop, lambda: self._result(exchange))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces = self._pieces(self._exchange(messages, stop, kwargs))
        try:
            while (piece := await run_on(self.loop, lambda: anext(pieces, None))) is not None:
                yield piece
        finally:
            await run_on(self.loop, pieces.aclose)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces = self._pieces(self._exchange(messages, stop, kwargs))
        try:
            while (piece := wait_on(self.loop, lambda: anext(pieces, None))) is not None:
                yield piece
        finally:
            wait_on(self.loop, pieces.aclose)

    def _exchange(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
    ) -> Exchange:
        return Exchange.of(
            self.context.model.name,
            messages,
            arguments,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            stop=self.stop if stop is None else stop,
        )

    async def _result(self, exchange: Exchange) -> ChatResult:
        answer = await self.context.chat(exchange.messages, **exchange.options)
        message = exchange.message(answer, len(self.context.calls))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _pieces(self, exchange: Exchange) -> AsyncGenerator[ChatGenerationChunk, None]:
        """Yield text as it comes; what has a schema comes whole, once it was checked."""
        stream = self.context.stream(exchange.messages, **exchange.options)
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    last = exchange.last_chunk(piece, len(self.context.calls))
                    yield ChatGenerationChunk(message=last)
                elif exchange.decision is None and piece.text:
                    yield ChatGenerationChunk(message=AIMessageChunk(content=piece.text))
