"""Both backends pass the kit, on the real model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from vagus.compute import Backend
from vagus.compute.backends.local import LocalBackend
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.conformance import BackendConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local-model-compute"),
]


class TestLocal(BackendConformance):
    @pytest.fixture
    def backend(self, local_model: LocalBackend) -> Backend:
        return local_model


class TestOpenAI(BackendConformance):
    @pytest_asyncio.fixture(loop_scope="session")
    async def backend(
        self, local_model: LocalBackend, tmp_path: Path
    ) -> AsyncIterator[OpenAIBackend]:
        """The llama.cpp server that the local backend runs, reached as anyone would."""
        endpoint = local_model._client._endpoint
        key = tmp_path / "key"
        key.write_text(endpoint.api_key)
        key.chmod(0o600)
        model = ModelConfig(name="HuggingFaceTB/SmolLM2", served_as="SmolLM2-135M-Instruct")
        config = OpenAIConfig(
            name="llama", base_url=endpoint.base_url, models=(model,), api_key_file=key
        )
        async with OpenAIBackend(config) as backend:
            yield backend


async def test_a_server_lists_its_own_models_where_none_are_configured(
    local_model: LocalBackend, tmp_path: Path
) -> None:
    endpoint = local_model._client._endpoint
    key = tmp_path / "key"
    key.write_text(endpoint.api_key)
    key.chmod(0o600)
    config = OpenAIConfig(name="llama", base_url=endpoint.base_url, api_key_file=key)
    async with OpenAIBackend(config) as backend:
        assert [model.name for model in await backend.models()] == ["SmolLM2-135M-Instruct"]
        await backend.check(timeout=30)
