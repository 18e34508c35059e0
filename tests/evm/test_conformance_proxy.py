"""The fault proxy before a real node, as plain clients of HTTP and websockets see it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from vagus.adapters.conformance.faults import (
    Delay,
    Drop,
    Empty,
    Endless,
    Error,
    Every,
    Flap,
    Garbage,
    Half,
    Lie,
    Limited,
    Malformed,
    Only,
    Over,
    Shorten,
    Silent,
    Sometimes,
    Stale,
    Status,
)
from vagus.adapters.conformance.proxy import FaultProxy
from vagus.adapters.evm.devnet import Anvil
from vagus.daemon.fetch import anvil_path

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("fault_proxy"),
]

SUBSCRIBE = {"jsonrpc": "2.0", "id": 7, "method": "eth_subscribe", "params": ["newHeads"]}
SILENCE = aiohttp.ClientTimeout(total=0.3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anvil() -> AsyncIterator[Anvil]:
    async with Anvil(anvil_path()) as node:
        await node.call("evm_setIntervalMining", 0)
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(anvil: Anvil) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(anvil.rpc) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def request(method: str, *params: object, number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


async def ask(
    client: aiohttp.ClientSession, proxy: FaultProxy, method: str, *params: object, **options: Any
) -> Any:
    async with client.post(proxy.rpc, json=request(method, *params), **options) as response:
        return (await response.json())["result"]


async def outcomes(client: aiohttp.ClientSession, proxy: FaultProxy, count: int) -> list[bool]:
    """Which of so many requests were answered."""
    found = []
    for _ in range(count):
        try:
            found.append(await ask(client, proxy, "eth_chainId") == "0x7a69")
        except aiohttp.ClientError:
            found.append(False)
    return found


async def test_without_faults_all_passes_and_is_counted(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    assert await ask(client, proxy, "eth_chainId") == "0x7a69"
    batch = [request("eth_chainId"), request("eth_blockNumber", number=2)]
    async with client.post(proxy.rpc, json=batch) as response:
        assert [each["id"] for each in await response.json()] == [1, 2]
    assert proxy.calls == {"eth_chainId": 2, "eth_blockNumber": 1}
    assert proxy.seen == proxy.passed == {"http": 2}


async def test_an_answer_comes_late(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.faults = (Delay(600),)
    with pytest.raises(TimeoutError):
        await ask(client, proxy, "eth_chainId", timeout=SILENCE)
    assert proxy.passed["http"] == 1
    proxy.faults = (Delay(0.01),)
    assert await ask(client, proxy, "eth_chainId") == "0x7a69"


async def test_a_dropped_request_never_reaches_the_node(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Drop(),)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(client, proxy, "eth_chainId")
    assert (proxy.seen["http"], proxy.passed["http"]) == (1, 0)


async def test_silence_ends_when_the_client_leaves(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Silent(),)
    with pytest.raises(TimeoutError):
        await ask(client, proxy, "eth_chainId", timeout=SILENCE)
    await until(lambda: proxy.connections == 0)


async def test_every_second_request_fails(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.faults = (Every(2, Status(503)),)
    statuses = []
    for _ in range(6):
        async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
            statuses.append(response.status)
    assert statuses == [200, 503] * 3
    proxy.faults = (Flap(),)
    assert False in await outcomes(client, proxy, 3)


async def test_the_same_requests_are_struck_in_every_run(
    anvil: Anvil, client: aiohttp.ClientSession
) -> None:
    runs = []
    for seed in (1, 1, 2):
        async with FaultProxy(anvil.rpc) as proxy:
            proxy.faults = (Sometimes(0.5, Status(500), seed),)
            struck = []
            for _ in range(32):
                async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
                    struck.append(response.status == 500)
            runs.append(struck)
    assert runs[0] == runs[1] != runs[2]
    assert 8 < sum(runs[0]) < 24


async def test_a_rate_limit_says_when_to_come_back(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Limited(after=7),)
    async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert proxy.passed["http"] == 0


async def test_a_body_ends_in_the_middle(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.faults = (Half(),)
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(client, proxy, "eth_chainId")


async def test_a_body_has_no_end(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.faults = (Endless(),)
    async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
        assert len(await response.content.readexactly(1 << 20)) == 1 << 20
    await until(lambda: proxy.connections == 0)


async def test_garbage_is_the_same_garbage_each_time(
    anvil: Anvil, client: aiohttp.ClientSession
) -> None:
    bodies = []
    for _ in range(2):
        async with FaultProxy(anvil.rpc) as proxy:
            proxy.faults = (Garbage(),)
            async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
                bodies.append(await response.read())
    assert bodies[0] == bodies[1]
    assert b"7a69" not in bodies[0]


async def test_a_malformed_answer_is_never_the_right_one(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Malformed(),)
    bodies = set()
    for _ in range(200):
        async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
            body = await response.read()
        bodies.add(body)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            continue
        assert not isinstance(answer, dict) or answer.get("result") != "0x7a69"
    assert len(bodies) > 40


async def test_lists_are_emptied_and_cut_short(
    anvil: Anvil, proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    accounts = await ask(client, proxy, "eth_accounts")
    assert len(accounts) == 10
    proxy.faults = (Shorten(3),)
    assert await ask(client, proxy, "eth_accounts") == accounts[:3]
    proxy.faults = (Empty(),)
    assert await ask(client, proxy, "eth_accounts") == []
    block = await ask(client, proxy, "eth_getBlockByNumber", "latest", False)
    assert block["uncles"] == []
    assert block["hash"]


async def test_an_answer_is_bent_and_the_others_are_not(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    lie = Lie(lambda request, answer: answer | {"result": request["method"]})
    proxy.faults = (Only(("eth_chainId",), lie),)
    assert await ask(client, proxy, "eth_chainId") == "eth_chainId"
    assert (await ask(client, proxy, "eth_blockNumber")).startswith("0x")
    batch = [request("eth_blockNumber", number=1), request("eth_chainId", number=2)]
    proxy.faults = (lie,)
    async with client.post(proxy.rpc, json=batch) as response:
        found = {each["id"]: each["result"] for each in await response.json()}
    assert found == {1: "eth_blockNumber", 2: "eth_chainId"}


async def test_an_error_stands_where_the_result_was(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Error(-32_005, "limit exceeded"),)
    async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
        answer = await response.json()
    assert answer == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32_005, "message": "limit exceeded"},
    }


async def test_a_stale_node_answers_as_it_did(
    anvil: Anvil, proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    before = await ask(client, proxy, "eth_blockNumber")
    proxy.faults = (Stale(proxy.remembered()),)
    await anvil.mine(1)
    assert await ask(client, proxy, "eth_blockNumber") == before
    proxy.faults = ()
    assert int(await ask(client, proxy, "eth_blockNumber"), 16) == int(before, 16) + 1


async def test_a_node_that_is_gone_is_a_bad_gateway(client: aiohttp.ClientSession) -> None:
    async with Anvil(anvil_path()) as node:
        rpc = node.rpc
    async with FaultProxy(rpc) as proxy:
        async with client.post(proxy.rpc, json=request("eth_chainId")) as response:
            assert response.status == 502
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(proxy.ws)


async def test_faults_combine_from_the_client_to_the_node(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    double = Lie(lambda _, answer: answer | {"result": answer["result"] * 2})
    proxy.faults = (double, Shorten(2))
    assert len(await ask(client, proxy, "eth_accounts")) == 4
    proxy.faults = (Shorten(2), double)
    assert len(await ask(client, proxy, "eth_accounts")) == 2


# Websockets


async def subscribed(client: aiohttp.ClientSession, proxy: FaultProxy) -> Any:
    socket = await client.ws_connect(proxy.ws)
    await socket.send_json(SUBSCRIBE)
    assert (await socket.receive_json())["id"] == 7
    return socket


async def test_a_websocket_carries_the_nodes_news(
    anvil: Anvil, proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    socket = await subscribed(client, proxy)
    await anvil.mine(1)
    assert (await socket.receive_json())["method"] == "eth_subscription"
    assert (proxy.websockets, proxy.passed["message"]) == (1, 2)
    await socket.close()
    await until(lambda: proxy.websockets == 0)


async def test_an_answer_over_a_websocket_is_bent_by_its_method(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = (Only(("eth_chainId",), Lie(lambda _, answer: answer | {"result": "0x1"})),)
    async with client.ws_connect(proxy.ws) as socket:
        for number, method in enumerate(("eth_chainId", "net_version")):
            await socket.send_json(request(method, number=number))
        answers = [await socket.receive_json() for _ in range(2)]
        assert {each["id"]: each["result"] for each in answers} == {0: "0x1", 1: "31337"}
    assert proxy.calls["eth_chainId"] == 1


async def test_a_websocket_is_cut_whole_and_in_the_middle_of_a_message(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    socket = await subscribed(client, proxy)
    await proxy.cut()
    assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    socket = await subscribed(client, proxy)
    await proxy.cut(mid_message=True)
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED
    await until(lambda: proxy.websockets == 0)


@pytest.mark.parametrize("fault", [Drop(), Half(), Status(500), Limited()], ids=repr)
async def test_a_message_that_is_struck_ends_its_websocket(
    anvil: Anvil, proxy: FaultProxy, client: aiohttp.ClientSession, fault: Any
) -> None:
    socket = await subscribed(client, proxy)
    proxy.faults = (Over("message", fault),)
    await anvil.mine(1)
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED
    await until(lambda: proxy.websockets == 0)


async def test_a_message_without_an_end_is_refused_by_its_length(
    anvil: Anvil, proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    socket = await client.ws_connect(proxy.ws, max_msg_size=1 << 16)
    await socket.send_json(SUBSCRIBE)
    await socket.receive_json()
    proxy.faults = (Over("message", Endless()),)
    await anvil.mine(1)
    assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
    await socket.close()
    await until(lambda: proxy.websockets == 0)


@pytest.mark.parametrize(("fault", "status"), [(Status(503), 503), (Limited(), 429)])
async def test_a_handshake_is_refused(
    proxy: FaultProxy, client: aiohttp.ClientSession, fault: Any, status: int
) -> None:
    proxy.faults = (Over("handshake", fault),)
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await client.ws_connect(proxy.ws)
    assert raised.value.status == status
    assert await ask(client, proxy, "eth_chainId") == "0x7a69"


async def until(met: Any) -> None:
    async with asyncio.timeout(15):
        while not met():
            await asyncio.sleep(0.01)
