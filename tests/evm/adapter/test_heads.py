"""Following the head of a real node, through all that endpoints do."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.evm import Chain, chain, height, until_height
from support.proxy import Proxy
from vagus.adapters.base import Heads
from vagus.protocol import Halt, Retry

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


async def test_heads_follow_the_chain_and_its_own_finality(node: Chain) -> None:
    async with node.adapter() as adapter:
        await node.anvil.mine(2)
        now = await height(node.anvil)
        heads = await until_height(adapter, now)
        assert (heads.latest.height, heads.final.height) == (now, now - 2)
        block = await node.anvil.call("eth_getBlockByNumber", hex(now - 2), False)
        assert heads.final.hash.hex() == block["hash"][2:]
        assert heads.final.time == int(block["timestamp"], 16)
        assert adapter.healthy


async def test_finality_may_be_a_number_of_confirmations(node: Chain) -> None:
    async with node.adapter(finality=1) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        assert heads.latest.height - heads.final.height == 1
    async with node.adapter(finality=10**6) as adapter:
        assert (await adapter.next_heads(None)).final.height == 0


async def test_an_endpoint_of_another_chain_halts_at_the_start(node: Chain) -> None:
    config = node.config(id="eip155:1", hub="eip155:1:0x" + "11" * 20)
    adapter = type(node.adapter())(config)
    with pytest.raises(Halt, match="serves eip155:31337"):
        async with adapter:
            pass


async def test_an_endpoint_that_comes_back_as_another_chain_halts(
    node: Chain, proxy: Proxy
) -> None:
    async with node.adapter(rpc=proxy.rpc) as adapter:
        heads = await adapter.next_heads(None)
        proxy.down = True
        await _unhealthy(adapter)
        proxy.bend = lambda request, answer: (
            answer | {"result": "0x1"} if request["method"] == "eth_chainId" else answer
        )
        proxy.down = False
        with pytest.raises(Halt, match=r"serves eip155:1$"):
            await adapter.next_heads(heads)
        with pytest.raises(Halt):
            await adapter.balance()


async def test_a_cut_websocket_leaves_polling_and_is_opened_again(
    node: Chain, proxy: Proxy
) -> None:
    async with node.adapter(rpc=proxy.rpc, ws=proxy.ws) as adapter:
        await adapter.next_heads(None)
        await _until(lambda: proxy.opened == 1)
        await proxy.cut()
        await node.anvil.mine(1)
        await until_height(adapter, await height(node.anvil))
        proxy.websockets = True
        await _until(lambda: proxy.opened == 2)


async def test_a_websocket_wakes_the_reader_before_its_time(node: Chain, proxy: Proxy) -> None:
    async with node.adapter(rpc=proxy.rpc, ws=proxy.ws, poll_interval=600) as adapter:
        await adapter.next_heads(None)
        await _until(lambda: proxy.messages == 1)  # the answer to the subscription
        await node.anvil.mine(1)
        async with asyncio.timeout(10):
            await until_height(adapter, await height(node.anvil))


async def test_a_node_that_is_down_at_the_start_is_waited_for(node: Chain, proxy: Proxy) -> None:
    proxy.down = True
    async with node.adapter(rpc=proxy.rpc) as adapter:
        assert adapter.heads is None
        assert not adapter.healthy
        with pytest.raises(Retry, match="has not answered yet"):
            await adapter.hub_state()
        proxy.down = False
        assert (await adapter.next_heads(None)).latest.height > 0


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


async def test_heads_never_go_back(node: Chain, proxy: Proxy) -> None:
    async with node.adapter(rpc=proxy.rpc) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        genesis = await node.anvil.call("eth_getBlockByNumber", "0x0", False)
        looks = proxy.count("eth_getBlockByNumber")
        proxy.bend = lambda request, answer: (
            answer | {"result": genesis}
            if request["params"][:1] in (["latest"], ["finalized"])
            else answer
        )
        await _until(lambda: proxy.count("eth_getBlockByNumber") > looks + 4)
        assert adapter.heads == heads


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


async def test_a_final_block_that_is_replaced_halts_the_chain(node: Chain, proxy: Proxy) -> None:
    async with node.adapter(rpc=proxy.rpc) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        lie = {"hash": "0x" + "ee" * 32}

        def bend(request: dict, answer: dict) -> dict:
            if request["params"][:1] in (["finalized"], [hex(heads.final.height)]):
                answer["result"] |= lie
            return answer

        proxy.bend = bend
        await node.anvil.mine(1)
        with pytest.raises(Halt, match="was replaced"):
            await _forever(adapter, heads)


async def _forever(adapter: object, heads: Heads) -> None:
    while True:
        heads = await adapter.next_heads(heads)  # type: ignore[attr-defined]  # any adapter


async def _unhealthy(adapter: object) -> None:
    await _until(lambda: not adapter.healthy)  # type: ignore[attr-defined]  # any adapter


async def _until(met: object) -> None:
    async with asyncio.timeout(15):
        while not met():  # type: ignore[operator]  # a condition
            await asyncio.sleep(0.01)
