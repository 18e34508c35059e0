"""A node behind three endpoints of a chain, of which one lies and one may be down."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.client import Chain, Client, until
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.proxy import Proxy

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_quorum"),
]

OPEN = 1


@contextlib.asynccontextmanager
async def endpoints(chain: Chain) -> AsyncIterator[list[Proxy]]:
    """Three endpoints of one chain; the first lies about the hub."""
    async with contextlib.AsyncExitStack() as stack:
        found = [await stack.enter_async_context(Proxy(chain.rpc)) for _ in range(3)]
        found[0].bend = lie
        yield found


def lie(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Say of every intent that it is settled, that nothing was asked, and of counters too much."""
    if asked["method"] == "eth_getLogs":
        return {**answer, "result": []}
    if asked["method"] == "eth_call" and len(answer.get("result", "")) >= 66:
        first = int(answer["result"][2:66], 16) ^ 3
        return {**answer, "result": f"0x{first:064x}{answer['result'][66:]}"}
    return answer


def config_of(devnet: Devnet, stub: StubModel, name: str, proxies: list[Proxy]) -> Path:
    config = devnet.variant(name, backends=stub.backends)
    text, one = config.read_text(), f'rpc = "{devnet.chains[0]["rpc"]}"'
    assert text.count(one) == 1
    several = ", ".join(f'"{each.rpc}"' for each in proxies)
    config.write_text(text.replace(one, f"rpc = [{several}]\ntimeout = 2.0"))
    return config


async def test_a_liar_among_three_changes_nothing_and_is_named_in_the_log(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with endpoints(client.chains[0]) as proxies:
        config = config_of(devnet, stub, "liar", proxies)
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            asked = [await client.ask(f"past a liar, {at}") for at in range(3)]
            for each in asked:
                shown = await node.reaches(each.hex, "settled")
                assert shown["status"] == "fulfilled"
                assert len(await client.events("Delivered", each)) == 1
                assert len(await client.events("Settled", each)) == 1
            warned = [line for line in node.lines() if line["level"] == "warning"]
            assert any(proxies[0].rpc in str(line) for line in warned)


async def test_a_liar_and_one_that_is_down_stop_the_chain_until_two_agree_again(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with endpoints(client.chains[0]) as proxies:
        config = config_of(devnet, stub, "stalled", proxies)
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            proxies[2].down = True
            asked = await client.ask("asked while no two endpoints agree")
            elsewhere = await client.ask("asked where all is well", origin=1, dest=1)
            await until(lambda: node.get("/readyz"), lambda got: got[0] == 503)
            await node.reaches(elsewhere.hex, "settled")
            heights = [await each.web3.eth.block_number for each in client.chains]

            async def mined() -> int:
                latest: int = await client.chains[0].web3.eth.block_number
                return latest - heights[0]

            await until(mined, lambda blocks: blocks > 20)  # final long since
            assert await client.state(asked) == OPEN
            assert await client.events("Delivered", asked) == []
            assert stub.asked["asked while no two endpoints agree"] == 0

            proxies[2].down = False
            await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
            await node.reaches(asked.hex, "settled")
            assert len(await client.events("Delivered", asked)) == 1
            assert stub.asked["asked while no two endpoints agree"] == 1
