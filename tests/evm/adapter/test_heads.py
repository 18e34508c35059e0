"""Following the head of a real node: what is EVM's own beside the conformance kit."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.evm import Chain, chain, height, until_height
from support.proxy import Proxy

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_heads"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    async with chain() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(node: Chain) -> AsyncIterator[Proxy]:
    async with Proxy(node.anvil.rpc) as found:
        yield found


async def test_finality_may_be_a_number_of_confirmations(node: Chain) -> None:
    async with node.adapter(finality=1) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        assert heads.latest.height - heads.final.height == 1
    async with node.adapter(finality=10**6) as adapter:
        assert (await adapter.next_heads(None)).final.height == 0


async def test_a_node_that_goes_down_and_returns_is_said_once_each(
    node: Chain, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    async with node.adapter(rpc=proxy.rpc) as adapter:
        heads = await adapter.next_heads(None)
        proxy.down = True
        await _unhealthy(adapter)
        assert adapter.heads == heads
        await _until(lambda: proxy.refused > 4)
        await node.anvil.mine(1)
        proxy.down = False
        await until_height(adapter, await height(node.anvil))
        assert adapter.healthy
    said = capsys.readouterr().out
    assert said.count("chain unreachable") == 1
    assert said.count("chain reachable again") == 1


async def test_no_key_of_an_endpoint_is_logged(
    node: Chain, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "canary-key-77aa"
    rpc = f"{proxy.rpc.replace('127', f'{key}@127')}/v3/{key}?{key}={key}"
    async with node.adapter(rpc=rpc, ws=f"{proxy.ws}/no/{key}") as adapter:
        await adapter.next_heads(None)
        proxy.down = True
        await _unhealthy(adapter)
        proxy.down = False
        proxy.bend = lambda request, answer: {
            "jsonrpc": "2.0",
            "id": request["id"],
            "error": {"code": -32000, "message": f"over quota of {key}"},
        }
        await _until(lambda: proxy.count("eth_chainId") > 3)
        shown = repr(adapter) + repr(vars(adapter))
    said = capsys.readouterr()
    assert "chain unreachable" in said.out
    assert "websocket lost" in said.out
    assert key not in said.out + said.err + shown


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        "0x",
        {"number": "0x1"},
        {"number": "-0x1", "hash": "0x" + "00" * 32, "timestamp": "0x1", "baseFeePerGas": "0x1"},
        {"number": "0x1", "hash": "0x00", "timestamp": "0x1", "baseFeePerGas": "0x1"},
        {
            "number": "0x" + "f" * 65,
            "hash": "0x" + "00" * 32,
            "timestamp": "0x1",
            "baseFeePerGas": "0x1",
        },
    ],
)
async def test_a_malformed_head_is_ignored(node: Chain, proxy: Proxy, result: object) -> None:
    proxy.bend = lambda request, answer: (
        answer | {"result": result} if request["method"] == "eth_getBlockByNumber" else answer
    )
    async with node.adapter(rpc=proxy.rpc) as adapter:
        await _until(lambda: proxy.count("eth_getBlockByNumber") > 2)
        assert adapter.heads is None
        proxy.bend = None
        await adapter.next_heads(None)


async def _unhealthy(adapter: object) -> None:
    await _until(lambda: not adapter.healthy)  # type: ignore[attr-defined]  # any adapter


async def _until(met: object) -> None:
    async with asyncio.timeout(15):
        while not met():  # type: ignore[operator]  # a condition
            await asyncio.sleep(0.01)
