"""Endpoints and models that fail under a running node: it waits, goes on, and loses nothing."""

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from support.client import Client, until
from support.node import Node, children
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.proxy_tcp import TcpProxy

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_survive"),
]

OUTAGE = 30.0
STORY = "Tell me a long story about a fox, a river and a bridge."


@pytest_asyncio.fixture(loop_scope="session")
async def proxies(client: Client) -> AsyncIterator[tuple[TcpProxy, TcpProxy]]:
    """One before each chain."""
    async with TcpProxy(client.chains[0].rpc) as first, TcpProxy(client.chains[1].rpc) as second:
        yield first, second


def errors(node: Node) -> list[str]:
    """What the node has logged as an error, or as worse."""
    return [line["event"] for line in node.lines() if line["level"] in {"error", "critical"}]


async def test_a_websocket_that_is_cut_again_and_again_loses_nothing(
    devnet: Devnet, client: Client, stub: StubModel, proxies: tuple[TcpProxy, ...], tmp_path: Path
) -> None:
    config = devnet.variant("ws", backends=stub.backends, ws0=proxies[0].ws, ws1=proxies[1].ws)
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        asked = []
        for at in range(2):
            await until(lambda: connections(proxies), lambda seen, at=at: seen > [at, at])
            asked.append(await client.ask(f"the websocket is cut, {at}"))
            for proxy in proxies:
                proxy.drop()
        for proxy in proxies:
            await proxy.refuse()
        asked.append(await client.ask("there is no websocket"))
        for each in asked:
            await node.reaches(each.hex, "settled")
            assert len(await client.events("Delivered", each)) == 1
        assert errors(node) == []
        assert [line["event"] for line in node.lines()].count("websocket lost") >= 4


async def connections(proxies: tuple[TcpProxy, ...]) -> list[int]:
    return [proxy.accepted for proxy in proxies]


async def unready(node: Node, chain: str) -> None:
    """Wait until it says that this chain is why it is not ready."""
    await until(lambda: node.get("/readyz"), lambda got: got[0] == 503 and chain.encode() in got[1])


async def test_endpoints_that_are_down_for_half_a_minute_are_waited_for(
    devnet: Devnet, client: Client, stub: StubModel, proxies: tuple[TcpProxy, ...], tmp_path: Path
) -> None:
    urls = {f"{key}{at}": getattr(proxies[at], key) for key in ("rpc", "ws") for at in (0, 1)}
    config = devnet.variant("outage", backends=stub.backends, **urls)
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        stub.open.clear()
        before = await client.ask("asked before the outage")
        await node.reaches(before.hex, "routed")

        for proxy in proxies:
            await proxy.refuse()
        began = time.monotonic()
        stub.open.set()
        for chain in client.chains:
            await unready(node, chain.caip2)
        meanwhile = [await client.ask("asked in the outage", origin=at, dest=1) for at in (0, 1)]
        await until(lambda: node.get("/healthz"), lambda _: time.monotonic() - began > OUTAGE)
        assert (await node.get("/healthz"))[0] == 200
        assert (await node.get("/readyz"))[0] == 503

        for proxy in proxies:
            await proxy.listen()
        back = time.monotonic()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        for each in (before, *meanwhile):
            await node.reaches(each.hex, "settled")
            assert len(await client.events("Delivered", each)) == 1
        print(f"all settled {time.monotonic() - back:.1f} s after the outage")
        assert stub.asked["asked before the outage"] == 1
        assert errors(node) == []


async def test_a_node_whose_endpoint_is_down_starts_and_serves_it_once_it_is_up(
    devnet: Devnet, client: Client, stub: StubModel, proxies: tuple[TcpProxy, ...], tmp_path: Path
) -> None:
    config = devnet.variant("down", backends=stub.backends, rpc1=proxies[1].rpc)
    await proxies[1].refuse()
    async with Node(config, tmp_path / "log") as node:
        await node.launch()
        await node.serving()
        await unready(node, client.chains[1].caip2)
        asked = await client.ask("asked while the node starts", origin=1, dest=0)
        await proxies[1].listen()
        await node.reaches(asked.hex, "settled")
        assert (await node.get("/readyz"))[0] == 200
        assert errors(node) == []


async def test_an_endpoint_that_falls_silent_is_waited_for(
    devnet: Devnet, client: Client, stub: StubModel, proxies: tuple[TcpProxy, ...], tmp_path: Path
) -> None:
    config = devnet.variant(
        "silent", backends=stub.backends, chains="timeout = 1.5", rpc1=proxies[1].rpc
    )
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        proxies[1].stall()
        await unready(node, client.chains[1].caip2)
        asked = await client.ask("nobody hears the destination")
        await node.reaches(asked.hex, "final")
        proxies[1].flow()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        await node.reaches(asked.hex, "settled")
        assert len(await client.events("Delivered", asked)) == 1
        assert errors(node) == []


async def test_a_model_server_killed_in_the_middle_of_an_answer_is_started_and_asked_again(
    devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    config = devnet.variant("model")
    config.write_text(config.read_text().replace("max_tokens = 64", "max_tokens = 192"))
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        (model,) = children(node.pid)
        assert "local_server" in Path(f"/proc/{model}/cmdline").read_text()
        asked = await client.ask(STORY)
        await node.reaches(asked.hex, "routed")
        os.kill(model, signal.SIGKILL)

        shown = await node.reaches(asked.hex, "settled")
        assert shown["status"] == "fulfilled"
        (delivered,) = await client.events("Delivered", asked)
        assert delivered["output"].decode() == shown["output"] != ""
        (again,) = children(node.pid)
        assert again != model
        events = [line["event"] for line in node.lines()]
        assert "local model down" in events
        # The answer was cut, not finished before: it was asked again by the router, or a little later.
        _, data = await node.get(f"/v1/evidence/{shown['evidence_hash']}")
        (call,) = orjson.loads(data)["calls"]
        assert call.get("tries", 1) > 1 or "waiting" in events
        assert errors(node) == []
