"""A real Chromium, driven by playwright: a page fails its test by any error or foreign request."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from support.programs import program

__all__ = ["Tab", "chromium", "opened"]

# A machine that does much else is slow, and not wrong.
expect.set_options(timeout=60_000)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the system's Chromium; it is gone at the end."""
    path = program("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """A page with all that it complained of and all that it asked of others than the node."""

    page: Page
    root: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.root + path)
        await self.page.locator("#stream", has_text="Live").wait_for()


@contextlib.asynccontextmanager
async def opened(
    browser: Browser, root: str, *, outages: bool = False, **context: Any
) -> AsyncIterator[Tab]:
    """Open a tab of its own; at its end it must have complained of nothing.

    With `outages` the node may be away meanwhile: what the browser says of that is no complaint.
    """
    tab_context = await browser.new_context(**context)
    page = await tab_context.new_page()
    tab = Tab(page, root)
    page.set_default_timeout(60_000)
    page.on("console", lambda said: _hear(tab, said.type, said.text))
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("request", lambda asked: _look(tab, asked.url))
    try:
        yield tab
        if outages:
            tab.complaints = [each for each in tab.complaints if "net::ERR_" not in each]
        assert tab.complaints == []
        assert tab.foreign == []
    finally:
        await tab_context.close()


def _hear(tab: Tab, kind: str, text: str) -> None:
    if kind in {"error", "warning"}:
        tab.complaints.append(text)


def _look(tab: Tab, url: str) -> None:
    if not url.startswith(tab.root + "/"):
        tab.foreign.append(url)
