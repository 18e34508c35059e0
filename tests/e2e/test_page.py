"""The page of a real node on real chains: an intent walks before the reader's eyes, kill -9 or not."""

import json
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from support.browser import chromium, opened
from support.client import Client
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel
from vagus.protocol import keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_page"),
]


async def test_an_intent_walks_over_the_page_through_a_kill_and_a_restart(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("page", backends=stub.backends)
    async with Node(config, tmp_path / "log") as node, chromium() as browser:
        await node.start()
        port = node.url.rpartition(":")[2]
        async with opened(browser, node.url, outages=True) as tab:
            await tab.open()
            for chain in client.chains:
                await expect(tab.page.locator("#chains")).to_contain_text(chain.caip2)
            await expect(tab.page.locator("#models")).to_contain_text("stub")
            stub.open.clear()
            asked = await client.ask("is anybody <b>there</b>?")
            card = tab.page.locator(f'#board li.stage.routed a[href="#/intent/{asked.hex}"]')
            await expect(card).to_be_visible()

            await node.kill()
            await expect(tab.page.locator("#stream")).to_contain_text("trying again")
            await node.start(VAGUS_HTTP__PORT=port)
            stub.open.set()
            row = tab.page.locator("#rows tr", has=tab.page.locator(f'a[href$="{asked.hex}"]'))
            await expect(row.locator(".tag")).to_have_text("fulfilled")
            await expect(row).to_contain_text("is anybody <b>there</b>?")

            await row.locator("a").click()
            stages = await tab.page.locator(".timeline .name").all_inner_texts()
            assert stages[-1] == "settled"
            evidence = await tab.page.get_by_role("link", name="0x").get_attribute("href") or ""
            async with (
                aiohttp.ClientSession() as session,
                session.get(node.url + evidence) as answer,
            ):
                document = await answer.read()
            assert evidence.endswith("0x" + keccak256(document).hex())
            assert json.loads(document)["intent"]["id"] == asked.hex
