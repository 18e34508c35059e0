"""A pytest plugin for agents' authors: `pytest -p vagus.daemon.testing`.

    local_model    the local model, started once for all tests
    context        a function that returns a fresh Context on it, for the fixture `agent`

Both live on the loop of the session: set `asyncio_default_test_loop_scope = "session"`, as
`vagus agents new` writes it and `vagus agents test` does by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from vagus.agents import Agent, Budget, Context, Route
from vagus.agents.conformance import AgentConformance
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.daemon.fetch import model_path

__all__ = ["context", "local_model"]

# A run's seconds: enough for some calls of the local model on a busy machine.
RUN_SECONDS = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--kit`."""
    parser.addoption("--kit", action="store_true", help="fail unless an AgentConformance is here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look for the kit where it was asked for."""
    if config.getoption("--kit"):
        classes = [item.cls for item in items if isinstance(item, pytest.Function) and item.cls]
        if not any(issubclass(each, AgentConformance) for each in classes):
            raise pytest.UsageError(
                "no test class here is a vagus.agents.conformance.AgentConformance; "
                "`vagus agents new` writes one to copy"
            )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_model() -> AsyncIterator[LocalBackend]:
    """The local model, entered."""
    async with LocalBackend(LocalConfig(model_path=model_path())) as backend:
        yield backend


@pytest_asyncio.fixture(loop_scope="session")
async def context(agent: Agent, local_model: LocalBackend) -> Callable[[], Context]:
    """A function that returns a fresh run of the agent on the local model."""
    (model,) = await local_model.models()
    return lambda: Context(
        intent_id=bytes(32),
        agent_id=agent.manifest.agent_id,
        route=Route(local_model, model),
        deadline=asyncio.get_running_loop().time() + RUN_SECONDS,
        budget=Budget(),
    )
