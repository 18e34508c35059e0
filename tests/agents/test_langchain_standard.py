"""LangChain's own standard tests, on the local model and on a server without a model.

Off are images, sound and PDF, which vagus does not carry, and what is no matter of a chat model over
a node: being made from the environment, being serialized (a context must not be), and a recording
of HTTP to time.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from support.loop_thread import LoopThread, loop_thread
from support.openai_server import openai_server
from vagus.agents import Budget, ChatVagus, Context, Route
from vagus.compute import Backend
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.daemon.fetch import model_path


def context(thread: LoopThread, backend: Backend) -> Context:
    (model, *_) = thread.run(backend.models())
    return Context(
        intent_id=bytes(32),
        agent_id="standard@1",
        route=Route(backend, model),
        deadline=float("inf"),
        budget=Budget(max_tokens=1_000_000),
    )


def remote(base_url: str) -> OpenAIBackend:
    config = OpenAIConfig(name="stub", base_url=base_url, models=(ModelConfig(name="repeater"),))
    return OpenAIBackend(config)


@pytest.fixture(scope="module")
def thread() -> Iterator[LoopThread]:
    with loop_thread() as running:
        yield running


@pytest.fixture(scope="module")
def scripted_context(thread: LoopThread) -> Context:
    server = thread.enter(openai_server())
    return context(thread, thread.enter(remote(server.base_url)))


@pytest.fixture(scope="module")
def local_context(thread: LoopThread) -> Context:
    backend = thread.enter(LocalBackend(LocalConfig(model_path=model_path())))
    return context(thread, backend)


class Claims:
    """What ChatVagus claims: everything but images, sound and PDF."""

    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_anthropic_inputs = True
    supports_model_override = True
    chat_model_class: ClassVar[type[BaseChatModel]] = ChatVagus
    ctx: Context
    loop: Any

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"context": self.ctx, "loop": self.loop}

    @property
    def model_override_value(self) -> str:
        return self.ctx.model.name


class TestUnit(Claims, ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _given(self, scripted_context: Context, thread: LoopThread) -> None:
        self.ctx, self.loop = scripted_context, thread.loop


class TestOnAServerWithoutAModel(Claims, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _given(self, scripted_context: Context, thread: LoopThread) -> None:
        self.ctx, self.loop = scripted_context, thread.loop


@pytest.mark.xdist_group("local-model-langchain")
class TestOnTheLocalModel(Claims, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _given(self, local_context: Context, thread: LoopThread) -> None:
        self.ctx, self.loop = local_context, thread.loop

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Enough for each test, and few enough for two cores.
        return {**super().chat_model_params, "max_tokens": 64}
