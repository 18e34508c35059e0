"""Takes the pictures of docs/images from a real node on a devnet of its own: real chains, real answers.

    PYTHONPATH=tests .venv/bin/python tests/page/screenshots.py

Needs Chromium, and a minute or two: some intents have to end first.
"""

import asyncio
import json
import random
import tempfile
from pathlib import Path

from playwright.async_api import expect

from support.browser import chromium, opened
from support.client import Asked, Client, client_of
from support.node import Node
from support.node_devnet import Devnet, running_devnet

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 900}
QUESTIONS = [
    "Which city is the capital of France?",
    "What is a blockchain?",
    "Name a colour of the rainbow.",
    "Is water wet?",
    "How many legs has a spider?",
    "Who wrote Faust?",
    "What do bees make?",
    "Why is the sky blue?",
]


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        async with running_devnet(Path(scratch) / "net") as net, client_of(net.chains) as client:
            await pictures(net, client, Path(scratch))


async def pictures(net: Devnet, client: Client, scratch: Path) -> None:
    draw = random.Random(7)
    async with Node(net.variant("pictures"), scratch / "log") as node, chromium() as browser:
        await node.start()
        print("asking the first questions")
        first = [await ask(client, draw, at) for at in range(10)]
        await client.ask("nobody serves this", agent="oracle@9")
        for each in first:
            await node.reaches(each.hex, "settled", within=240)
        print("asking more, for the picture to be taken among them")
        for at in range(16):
            await ask(client, draw, at)
            while await waiting(node) > 1:  # as fast as the model here answers
                await asyncio.sleep(0.1)
        for scheme in ("light", "dark"):
            async with opened(
                browser, node.url, viewport=SIZE, color_scheme=scheme, reduced_motion="reduce"
            ) as tab:
                await tab.open()
                await expect(tab.page.locator("#rows tr").first).to_be_visible()
                await tab.page.wait_for_timeout(1500)  # the cards have come to rest
                await tab.page.screenshot(path=IMAGES / f"page-{scheme}.png")
        async with opened(browser, node.url, viewport={**SIZE, "height": 1060}) as tab:
            await tab.open(f"/#/intent/{first[0].hex}")
            await expect(tab.page.locator("#story-title")).to_be_visible()
            await tab.page.screenshot(path=IMAGES / "intent.png")
    for path in sorted(IMAGES.glob("*.png")):
        print(path.name, path.stat().st_size, "bytes")


async def waiting(node: Node) -> int:
    _, body = await node.get("/v1/status")
    count: int = json.loads(body)["intents"]["routed"]
    return count


async def ask(client: Client, draw: random.Random, at: int) -> Asked:
    origin, dest = draw.choice([(0, 1), (1, 0), (0, 0), (0, 1)])
    return await client.ask(QUESTIONS[at % len(QUESTIONS)], origin=origin, dest=dest)


if __name__ == "__main__":
    asyncio.run(main())
