"""Endpoints that fail under a node on three kinds of chains: it goes on, waits, and loses nothing."""

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from support.client import until
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.proxy_tcp import TcpProxy
from support.worlds.client import Asked, Worlds

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("worlds"),
]

ENDPOINTS = 3
LEAST = 2.0


@pytest_asyncio.fixture(loop_scope="session")
async def proxies(devnet: Devnet) -> AsyncIterator[list[TcpProxy]]:
    """One before each chain."""
    async with contextlib.AsyncExitStack() as stack:
        found = [TcpProxy(chain["rpc"]) for chain in devnet.chains]
        yield [await stack.enter_async_context(each) for each in found]


def websockets(devnet: Devnet, proxies: list[TcpProxy]) -> dict[str, str]:
    """The chains' websockets, through their proxies."""
    pairs = zip(devnet.chains, proxies, strict=True)
    urls = [f"{proxy.ws}{urlsplit(chain['ws']).path}" for chain, proxy in pairs]
    return {f"ws{at}": url for at, url in enumerate(urls)}


def errors(node: Node) -> list[str]:
    """What the node has logged as an error, or as worse."""
    return [line["event"] for line in node.lines() if line["level"] in {"error", "critical"}]


async def all_once(node: Node, worlds: Worlds, stub: StubModel, several: list[Asked]) -> None:
    """Wait until the node has settled all of these; each is delivered, settled and answered once."""
    for asked in several:
        await node.reaches(asked.hex, "settled")
        await worlds.once(asked, f"answer 1 to {asked.prompt}")
        assert stub.asked[asked.prompt] == 1


async def test_websockets_that_are_cut_again_and_again_and_then_refused_lose_nothing(
    devnet: Devnet, worlds: Worlds, stub: StubModel, proxies: list[TcpProxy], tmp_path: Path
) -> None:
    urls = websockets(devnet, proxies)
    config = devnet.variant("ws", backends=stub.backends, **urls)
    before = await worlds.sent()
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        asked = []
        for at in range(2):
            for proxy in proxies:
                await until(lambda each=proxy: accepted(each), lambda seen, at=at: seen > at)
            asked += await worlds.ask_round(f"the websocket is cut, {at}")
            for proxy in proxies:
                proxy.drop()
        for proxy in proxies:
            await proxy.refuse()
        asked += await worlds.ask_round("there is no websocket")
        await all_once(node, worlds, stub, asked)
        lost = [line["chain"] for line in node.lines() if line["event"] == "websocket lost"]
        assert errors(node) == []
    assert all(lost.count(chain["caip2"]) >= 2 for chain in devnet.chains)
    assert await worlds.sent() == {kind: count + 6 for kind, count in before.items()}


async def accepted(proxy: TcpProxy) -> int:
    return proxy.accepted


@contextlib.asynccontextmanager
async def several_endpoints(
    devnet: Devnet, stub: StubModel, name: str
) -> AsyncIterator[tuple[Path, list[list[TcpProxy]]]]:
    """A config with some endpoints for each chain; a majority must agree."""
    config = devnet.variant(name, backends=stub.backends, chains=f"timeout = {LEAST}")
    text = config.read_text()
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for chain in devnet.chains:
            several = [TcpProxy(chain["rpc"]) for _ in range(ENDPOINTS)]
            found.append([await stack.enter_async_context(each) for each in several])
            one, urls = f'rpc = "{chain["rpc"]}"', [each.rpc for each in several]
            assert text.count(one) == 1
            text = text.replace(one, f"rpc = {urls}")
        config.write_text(text)
        yield config, found


async def test_of_three_endpoints_one_may_be_down_and_another_hang(
    devnet: Devnet, worlds: Worlds, stub: StubModel, tmp_path: Path
) -> None:
    before = await worlds.sent()
    async with (
        several_endpoints(devnet, stub, "several") as (config, chains),
        Node(config, tmp_path / "log") as node,
    ):
        for first, _, _ in chains:
            await first.refuse()
        await node.start()
        await all_once(node, worlds, stub, await worlds.ask_round("one is down"))
        for first, second, _ in chains:
            await first.listen()
            second.stall()
        await all_once(node, worlds, stub, await worlds.ask_round("another hangs"))
        assert (await node.get("/readyz"))[0] == 200
        assert errors(node) == []
    assert await worlds.sent() == {kind: count + 4 for kind, count in before.items()}


async def test_of_three_endpoints_two_that_are_down_stop_a_chain_until_one_is_back(
    devnet: Devnet, worlds: Worlds, stub: StubModel, tmp_path: Path
) -> None:
    async with (
        several_endpoints(devnet, stub, "two-down") as (config, chains),
        Node(config, tmp_path / "log") as node,
    ):
        await node.start()
        for first, second, _ in chains:
            await first.refuse()
            second.stall()
        for chain in devnet.chains:
            await unready(node, chain["caip2"])
        asked = await worlds.ask_round("no two endpoints agree")
        await worlds.chains["cosmos"].outlive()  # by then all three are final
        for each in asked:
            assert await is_open(each)
            assert stub.asked[each.prompt] == 0
        for first, _, _ in chains:
            await first.listen()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        await all_once(node, worlds, stub, asked)
        assert errors(node) == []


async def is_open(asked: Asked) -> bool:
    """Whether nothing has been done for an intent."""
    delivered = await asked.dest.deliveries(asked.id)
    return not delivered and not await asked.origin.settlements(asked.id)


async def unready(node: Node, chain: str) -> None:
    """Wait until it says that this chain is why it is not ready."""
    await until(lambda: node.get("/readyz"), lambda got: got[0] == 503 and chain.encode() in got[1])


async def test_a_node_that_reaches_no_chain_says_so_waits_and_loses_nothing(
    devnet: Devnet, worlds: Worlds, stub: StubModel, proxies: list[TcpProxy], tmp_path: Path
) -> None:
    urls = {f"rpc{at}": proxy.rpc for at, proxy in enumerate(proxies)}
    urls |= websockets(devnet, proxies)
    config = devnet.variant("outage", backends=stub.backends, **urls)
    before = await worlds.sent()
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        stub.open.clear()
        asked = await worlds.ask_round("asked before the outage")
        for each in asked:
            await node.reaches(each.hex, "routed")

        for proxy in proxies:
            await proxy.refuse()
        stub.open.set()
        for chain in devnet.chains:
            await unready(node, chain["caip2"])
        assert (await node.get("/healthz"))[0] == 200
        asked += await worlds.ask_round("asked in the outage")
        assert all([await is_open(each) for each in asked])

        for proxy in proxies:
            await proxy.listen()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        await all_once(node, worlds, stub, asked)
        assert errors(node) == []
    assert await worlds.sent() == {kind: count + 4 for kind, count in before.items()}


async def test_a_node_that_starts_while_no_chain_answers_serves_them_once_they_do_and_can_be_stopped(
    devnet: Devnet, worlds: Worlds, stub: StubModel, proxies: list[TcpProxy], tmp_path: Path
) -> None:
    urls = {f"rpc{at}": proxy.rpc for at, proxy in enumerate(proxies)}
    config = devnet.variant("down", backends=stub.backends, **urls)
    for proxy in proxies:
        await proxy.refuse()
    async with Node(config, tmp_path / "log") as node:
        await node.launch()
        await node.serving()
        for chain in devnet.chains:
            await unready(node, chain["caip2"])
        for proxy in proxies:
            await proxy.listen()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        asked = await worlds.ask_round("asked of a late starter")
        await all_once(node, worlds, stub, asked)

        for proxy in proxies:
            proxy.stall()
        node.send(signal.SIGTERM)
        assert await node.ended() == 0
        assert errors(node) == []


async def test_restarts_under_way_change_nothing(
    devnet: Devnet, worlds: Worlds, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("restarts", backends=stub.backends)
    before = await worlds.sent()
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        asked = await worlds.ask_round("restarted under way")
        for stage in ("final", "submitted", "settling"):
            await until(lambda: stages(node, asked), lambda seen, stage=stage: stage in seen)
            node.send(signal.SIGTERM)
            assert await node.ended() == 0
            await node.start()
        await all_once(node, worlds, stub, asked)
        assert errors(node) == []
    assert await worlds.sent() == {kind: count + 2 for kind, count in before.items()}


async def stages(node: Node, several: list[Asked]) -> set[str]:
    """The stages that the node has seen these at."""
    shown = [await node.intent(asked.hex) for asked in several]
    return {line["stage"] for each in shown for line in each["history"]}
