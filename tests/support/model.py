"""The real local model, one process for all tests of a folder. Import the fixture in a conftest."""

from collections.abc import AsyncIterator

import pytest_asyncio

from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.daemon.fetch import model_path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_model() -> AsyncIterator[LocalBackend]:
    """The default backend, entered; tests that use it run on the session's loop."""
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        yield backend
