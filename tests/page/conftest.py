"""One Chromium for all of this folder, and a served API for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from support.browser import Tab, chromium, opened
from support.served import Served, serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, node: Served) -> AsyncIterator[Tab]:
    async with opened(browser, node.root, viewport={"width": 1280, "height": 900}) as found:
        yield found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status more often than people need it."""
    monkeypatch.setattr("vagus.daemon.api.live.STATUS_SECONDS", 0.2)
