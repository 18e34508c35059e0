from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.mosquitto import Mosquitto
from support.openai_server import OpenAIServer, openai_server
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as found:
        yield found


@pytest.fixture
async def url(mosquitto: Mosquitto) -> str:
    return mosquitto.url


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """What a GPU owner's model server stands for: it repeats what it is told."""
    async with openai_server() as found:
        yield found


@pytest.fixture
async def inner(server: OpenAIServer) -> AsyncIterator[OpenAIBackend]:
    named = (ModelConfig(name="repeater"),)
    config = OpenAIConfig(name="local", base_url=server.base_url, models=named)
    async with OpenAIBackend(config) as backend:
        yield backend
