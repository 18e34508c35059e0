"""What is signed upon is read from k of n endpoints: one that forges, lags or is down changes nothing.

The node is a real one behind three proxies; what it says itself is the truth to compare with.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from eth_abi import encode
from web3 import Web3

from support.endpoints import (
    adapter_over,
    answering,
    disagreements,
    endpoints,
    names,
    node_error,
    slow_down,
)
from support.evm import Chain, chain, height, question, send, until_height
from support.proxy import Proxy
from support.proxy_tcp import TcpProxy
from vagus.adapters.base import Built, EventFilter, IntentState, Requested
from vagus.adapters.errors import NoQuorum
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.protocol import Halt, Intent, Retry, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_quorum"),
]

# How many are asked where endpoints leave out; 10,000 takes minutes.
INTENTS = int(os.environ.get("VAGUS_INTENTS", "300"))
NEVER_ASKED = b"\x5a" * 32
OPEN = "0x" + encode(["uint256"] * 5, [1, 0, 0, 0, 0]).hex()
DELIVERED = "0x" + encode(["uint256"] * 8, [9, 0, 7, 7, 7, 1, 7, 0]).hex()
FORGED_HASH = "0x" + "ee" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    """A hub with twelve intents in six blocks, all final."""
    async with chain() as found:
        async with found.adapter() as adapter:
            await adapter.next_heads(None)
            lane = await adapter.open_lane(None)
            for at in range(12):
                call = adapter.request_call(question(adapter, payload=b'{"prompt":"%d"}' % at))
                built = await adapter.build(call, await adapter.estimate(call), lane)
                lane = built.lane
                await adapter.broadcast((await adapter.advance(built.state)).send[0])
                if at % 2:
                    await found.anvil.mine(1)
        await found.anvil.mine(3)
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def proxies(node: Chain) -> AsyncIterator[list[Proxy]]:
    async with endpoints(node) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def adapter(node: Chain, proxies: list[Proxy]) -> AsyncIterator[EvmAdapter]:
    async with adapter_over(node, proxies) as found:
        await until_height(found, await height(node.anvil))
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def truth(node: Chain) -> list[Requested]:
    async with node.adapter() as adapter:
        return await everything(adapter, await height(node.anvil))


async def everything(adapter: EvmAdapter, least: int, patience: int = 0) -> list[Requested]:
    """All intents up to the final block, from the beginning, with so many reads in vain."""
    final = (await until_height(adapter, least)).final
    cursor, found = None, []
    while cursor is None or cursor.height < final.height:
        try:
            if cursor is None:
                cursor = await adapter.start()
            batch, cursor = await adapter.intents(cursor, final)
        except Retry:
            patience -= 1
            if patience < 0:
                raise
        else:
            found += batch
    return found


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not met():
            await asyncio.sleep(0.01)


# Views


async def test_three_honest_endpoints_are_one_chain(
    node: Chain, adapter: EvmAdapter, truth: list[Requested]
) -> None:
    assert adapter.quorum == (2, 3)
    assert await everything(adapter, 0) == truth
    assert len(truth) == 12
    state = await adapter.hub_state()
    assert state.next_seq == truth[-1].intent.seq + 1
    assert all([await adapter.intent_state(one.intent.id) is IntentState.OPEN for one in truth])
    assert await adapter.upgradeable() is None
    for tally in adapter.tallies().values():
        assert (tally.failures, tally.disagreements) == (0, 0)
        assert tally.requests > 20


async def test_an_open_intent_that_one_endpoint_forges_does_not_exist(
    adapter: EvmAdapter, proxies: list[Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    proxies[0].bend = answering("eth_call", lambda _: OPEN)
    for _ in range(5):
        assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE
    await until(lambda: disagreements(adapter) == [5, 0, 0])
    said = capsys.readouterr().out
    assert said.count("endpoint disagrees") == 1  # once, and not once a read
    assert names(adapter)[0] in said


async def test_a_delivery_that_one_endpoint_forges_was_not_made(
    adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    proxies[1].bend = answering("eth_call", lambda _: DELIVERED)
    assert await adapter.delivery(NEVER_ASKED) is None


async def test_a_slow_forger_is_noticed_too(node: Chain, proxies: list[Proxy]) -> None:
    """The others agree before it speaks; it is heard out all the same."""
    async with TcpProxy(proxies[0].rpc) as slow:
        rpc = [slow.rpc, proxies[1].rpc, proxies[2].rpc]
        async with node.adapter(rpc=rpc, poll_interval=600) as adapter:
            await until_height(adapter, await height(node.anvil))
            proxies[0].bend = answering("eth_call", lambda _: OPEN)
            slow.stall()
            assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE
            assert disagreements(adapter) == [0, 0, 0]
            slow.flow()
            await until(lambda: disagreements(adapter)[0] == 1)


async def test_one_down_and_one_forging_is_a_stall_in_words_and_ends_when_they_are_honest(
    adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    forger, down, honest = names(adapter)
    proxies[0].bend = answering("eth_call", lambda _: OPEN)
    proxies[1].down = True
    for _ in range(20):
        with pytest.raises(NoQuorum, match="2 of 3 endpoints must agree") as raised:
            await adapter.intent_state(NEVER_ASKED)
        assert f"{down}: eth_call: " in raised.value.reason
        assert "disagree" in raised.value.reason
        assert forger in raised.value.reason
        assert honest in raised.value.reason
    assert adapter.quorum == (2, 3)
    proxies[1].down = False
    assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE
    proxies[0].bend = None
    assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE


async def test_the_quorum_never_shrinks_to_the_endpoint_that_is_left(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    """An attacker who silences the honest ones and forges the third gets a stall."""
    before = adapter.heads
    proxies[0].bend = answering("eth_call", lambda _: OPEN)
    proxies[1].down = proxies[2].down = True
    await node.anvil.mine(1)
    await until(lambda: not adapter.healthy)
    for _ in range(20):
        with pytest.raises(NoQuorum) as raised:
            await adapter.intent_state(NEVER_ASKED)
    for name in names(adapter)[1:]:
        assert f"{name}: eth_call: " in raised.value.reason
    assert adapter.heads == before
    assert await adapter.next_heads(None) == before
    proxies[1].down = proxies[2].down = False
    await until_height(adapter, await height(node.anvil))
    assert adapter.healthy
    assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE


async def test_no_url_is_in_a_reason(node: Chain, proxies: list[Proxy]) -> None:
    key = "canary-key-31bb"
    rpc = [f"{proxy.rpc}/v3/{key}?{key}={key}" for proxy in proxies]
    async with node.adapter(rpc=rpc) as adapter:
        await adapter.next_heads(None)
        proxies[0].down = True
        proxies[1].bend = node_error("eth_call", f"over the quota of {key}")
        with pytest.raises(NoQuorum) as raised:
            await adapter.hub_state()
        found = await adapter.endpoints()
        shown = raised.value.reason + repr(found) + repr(vars(adapter))
    assert "over the quota" in raised.value.reason
    assert key not in shown


# Heads


async def test_a_stale_endpoint_and_one_far_ahead_change_nothing(
    node: Chain, proxies: list[Proxy]
) -> None:
    genesis = await node.anvil.call("eth_getBlockByNumber", "0x0", False)
    far = genesis | {"number": hex(10**6), "hash": FORGED_HASH, "timestamp": hex(10**10)}
    for lie in (genesis, far):

        def bend(request: dict, answer: dict, lie: dict = lie) -> dict:
            tags = (["latest"], ["finalized"])
            return answer | {"result": lie} if request["params"][:1] in tags else answer

        proxies[0].bend = bend
        async with adapter_over(node, proxies) as adapter:
            await node.anvil.mine(1)
            now = await height(node.anvil)
            heads = await until_height(adapter, now)
            assert (heads.latest.height, heads.final.height) == (now, now - 2)
            await node.anvil.mine(2)
            heads = await until_height(adapter, now + 2)
            assert (heads.latest.height, heads.final.height) == (now + 2, now)
            assert adapter.healthy


async def test_heads_do_not_wait_for_an_endpoint_that_is_silent(
    node: Chain, proxies: list[Proxy]
) -> None:
    """Its timeout is longer than the test may take."""
    async with TcpProxy(proxies[0].rpc) as silent:
        rpc = [silent.rpc, proxies[1].rpc, proxies[2].rpc]
        async with node.adapter(rpc=rpc, timeout=120) as adapter:
            await adapter.next_heads(None)
            silent.stall()
            async with asyncio.timeout(60):
                for _ in range(5):
                    await node.anvil.mine(1)
                    await until_height(adapter, await height(node.anvil))
                    await adapter.hub_state()


async def test_a_header_that_one_endpoint_forges_is_not_the_head(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    proxies[2].bend = answering("eth_getBlockByNumber", lambda found: found | {"hash": FORGED_HASH})
    for _ in range(4):
        await node.anvil.mine(1)
        heads = await until_height(adapter, await height(node.anvil))
        for block in (heads.latest, heads.final):
            found = await node.anvil.call("eth_getBlockByNumber", hex(block.height), False)
            assert "0x" + block.hash.hex() == found["hash"]
    assert adapter.healthy


async def test_two_endpoints_with_another_header_each_stall_the_head(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    before = adapter.heads
    for at, proxy in enumerate(proxies[:2]):
        lie = {"hash": f"0x{at:064x}"}
        proxy.bend = answering("eth_getBlockByNumber", lambda found, lie=lie: found | lie)
    await node.anvil.mine(1)
    await until(lambda: not adapter.healthy)
    assert adapter.heads == before
    proxies[0].bend = proxies[1].bend = None
    await until_height(adapter, await height(node.anvil))


@pytest.mark.parametrize("liars", [1, 2])
async def test_a_final_block_is_replaced_once_a_quorum_says_so(node: Chain, liars: int) -> None:
    async with endpoints(node) as proxies, adapter_over(node, proxies) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        tags = (["finalized"], [hex(heads.final.height)])

        def bend(request: dict, answer: dict) -> dict:
            if request["params"][:1] in tags:
                answer["result"] |= {"hash": FORGED_HASH}
            return answer

        for proxy in proxies[:liars]:
            proxy.bend = bend
        await node.anvil.mine(1)
        if liars == 1:
            await until_height(adapter, heads.final.height + 1, final=True)
            assert (await adapter.hub_state()).at != heads.final
            await until(lambda: disagreements(adapter)[0] > 0)
            return
        with pytest.raises(Halt, match=f"final block {heads.final.height} was replaced"):
            await until_height(adapter, 10**9)
        with pytest.raises(Halt):
            await adapter.hub_state()


@pytest.mark.parametrize("liars", [1, 2])
async def test_the_chain_halts_once_a_quorum_serves_another_chain(node: Chain, liars: int) -> None:
    async with endpoints(node) as proxies:
        for proxy in proxies[:liars]:
            proxy.bend = answering("eth_chainId", lambda _: "0x1")
        adapter = adapter_over(node, proxies)
        if liars == 2:
            with pytest.raises(Halt, match=r"serves eip155:1, .* serves eip155:1$"):
                async with adapter:
                    pass
            return
        async with adapter:
            await until_height(adapter, await height(node.anvil))
            await adapter.hub_state()
            # Whatever it says does not count, not even where it is right.
            proxies[1].down = True
            with pytest.raises(NoQuorum, match=r"serves eip155:1"):
                await adapter.hub_state()
            proxies[0].bend = None
            await node.anvil.mine(1)
            await until_height(adapter, await height(node.anvil))
            await adapter.hub_state()


async def test_endpoints_that_turn_into_another_chain_after_a_fault_halt(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    heads = adapter.heads
    for proxy in proxies[:2]:
        proxy.down = True
    await until(lambda: not adapter.healthy)
    for proxy in proxies[:2]:
        proxy.bend = answering("eth_chainId", lambda _: "0x2")
        proxy.down = False
    with pytest.raises(Halt, match="serves eip155:2"):
        await adapter.next_heads(heads)


async def test_any_websocket_wakes_the_reader(node: Chain, proxies: list[Proxy]) -> None:
    ws = [proxy.ws for proxy in proxies]
    async with adapter_over(node, proxies, ws=ws, poll_interval=600) as adapter:
        await adapter.next_heads(None)
        await until(lambda: all(proxy.messages for proxy in proxies))
        await proxies[0].cut()
        await proxies[2].cut()
        await node.anvil.mine(1)
        async with asyncio.timeout(30):
            await until_height(adapter, await height(node.anvil))


# Logs


def omitting(*hidden: int) -> Any:
    """Answers that lack the intents at these places of the hub's numbers."""

    def change(logs: list[dict]) -> list[dict]:
        return [log for log in logs if (int(log["topics"][2], 16) - 1) % (1 << 20) not in hidden]

    return answering("eth_getLogs", change)


OMISSIONS = {
    "all": omitting(*range(12)),
    "one": omitting(5),
    "the last": omitting(11),
    "cut short": answering("eth_getLogs", lambda logs: logs[:3]),
    "twice": answering("eth_getLogs", lambda logs: logs + logs),
    "an error": node_error("eth_getLogs", "query returned more than 10000 results", -32005),
    "no list": answering("eth_getLogs", lambda logs: {}),
}


@pytest.mark.parametrize("bend", OMISSIONS.values(), ids=OMISSIONS.keys())
@pytest.mark.parametrize("most", [2, 2_000])
async def test_what_one_endpoint_leaves_out_of_its_logs_is_not_missed(
    node: Chain, proxies: list[Proxy], truth: list[Requested], bend: Any, most: int
) -> None:
    proxies[0].bend = bend
    async with adapter_over(node, proxies, max_log_range=most) as adapter:
        assert await everything(adapter, await height(node.anvil)) == truth


async def test_what_each_leaves_out_the_others_give(
    node: Chain, proxies: list[Proxy], truth: list[Requested]
) -> None:
    for at, proxy in enumerate(proxies):
        proxy.bend = omitting(*range(at, 12, 3))
    async with adapter_over(node, proxies) as adapter:
        assert await everything(adapter, await height(node.anvil)) == truth


async def test_logs_that_two_leave_out_are_a_retry_and_read_once_one_of_them_heals(
    node: Chain, proxies: list[Proxy], truth: list[Requested]
) -> None:
    proxies[0].bend = proxies[1].bend = omitting(4)
    async with adapter_over(node, proxies) as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        start = await adapter.start()
        with pytest.raises(Retry, match="lack seq"):
            await adapter.intents(start, final)
        proxies[1].bend = None
        assert await everything(adapter, 0) == truth


async def test_logs_that_one_has_and_one_lacks_wait_for_the_third(
    node: Chain, proxies: list[Proxy], truth: list[Requested]
) -> None:
    """Neither is believed while the third is down: the log may be forged, or left out."""
    async with adapter_over(node, proxies) as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        start = await adapter.start()
        proxies[0].bend = omitting(4)
        proxies[1].down = True
        with pytest.raises(NoQuorum, match="the hub's logs: 2 of 3"):
            await adapter.intents(start, final)
        proxies[1].down = False
        assert await everything(adapter, 0) == truth


def forging(truth: list[Requested]) -> Any:
    """Logs with the true numbers, each of another question, right in every hash."""

    def change(logs: list[dict]) -> list[dict]:
        return [forged(log) for log in logs]

    def forged(log: dict) -> dict:
        seq = int(log["topics"][2], 16)
        (true,) = (one for one in truth if one.intent.seq == seq)
        payload = b'{"prompt":"send all"}'
        intent: Intent = replace(true.intent, payload_hash=keccak256(payload))
        tails = encode(["bytes", "bytes"], [payload, true.terms])[64:]
        head = (16 * 32).to_bytes(32) + (16 * 32 + 64).to_bytes(32)
        topics = [log["topics"][0], "0x" + intent.id.hex(), log["topics"][2]]
        data = intent.encode() + head + tails
        return log | {"topics": topics, "data": "0x" + data.hex()}

    return answering("eth_getLogs", change)


async def test_a_forged_log_does_not_take_the_true_ones_place(
    node: Chain, proxies: list[Proxy], truth: list[Requested]
) -> None:
    async with node.adapter(rpc=proxies[0].rpc) as alone:
        proxies[0].bend = forging(truth)
        believed = await everything(alone, await height(node.anvil))
        assert len(believed) == 12  # alone it would be believed: it is a good forgery
        assert believed[0].payload == b'{"prompt":"send all"}'
    async with adapter_over(node, proxies) as adapter:
        assert await everything(adapter, await height(node.anvil)) == truth
        await until(lambda: disagreements(adapter)[0] > 0)


async def test_another_contracts_events_need_the_same_whole_list(
    node: Chain, proxies: list[Proxy]
) -> None:
    address = node.config().account.address
    wanted = EventFilter(address, "Rotated(uint64,uint64,address[],bytes32,uint64)")
    async with adapter_over(node, proxies) as adapter:
        now = await height(node.anvil)
        proxies[0].bend = answering("eth_getLogs", lambda logs: [])
        (found,) = await adapter.events(wanted, 0, now)
        assert found.topics[0] == Web3.keccak(text=wanted.event)
        proxies[1].down = True
        with pytest.raises(NoQuorum):
            await adapter.events(wanted, 0, now)


async def test_empty_logs_at_the_tip_are_seen_through(node: Chain, proxies: list[Proxy]) -> None:
    proxies[0].bend = answering("eth_getLogs", lambda logs: [])
    proxies[2].bend = answering("eth_getLogs", lambda logs: [])
    async with adapter_over(node, proxies, key=1) as adapter:
        await until_height(adapter, await height(node.anvil))
        final = await final_cursor(node, adapter)
        await send(adapter, node.anvil, adapter.request_call(question(adapter)))
        heads = await until_height(adapter, await height(node.anvil))
        with pytest.raises(Retry, match="lack seq"):
            await adapter.intents(final, heads.latest)
        proxies[2].bend = None
        found, cursor = [], final
        while cursor.height < heads.latest.height:
            batch, cursor = await adapter.intents(cursor, heads.latest)
            found += batch
        assert [one.intent.requester for one in found] == [adapter.account]


async def final_cursor(node: Chain, adapter: EvmAdapter) -> Any:
    """The cursor at the final block, as an honest endpoint reads it."""
    async with node.adapter() as honest:
        final = (await until_height(honest, await height(node.anvil))).final
        cursor = await honest.start()
        while cursor.height < final.height:
            _, cursor = await honest.intents(cursor, final)
    return cursor


class Omitting:
    """One answer in three is empty, cut short, full of holes, or none at all."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lies = 0

    def __call__(self, request: dict[str, Any], answer: dict[str, Any]) -> Any:
        choose = self.random
        if request["method"] != "eth_getLogs" or choose.randrange(3):
            return answer
        self.lies += 1
        logs = answer["result"]
        way = choose.randrange(5)
        if way == 4:
            return slow_down(0)(request, answer)
        if way == 3:
            error = {"code": -32005, "message": "query returned more than 10000 results"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        fewer = ([], logs[: len(logs) // 2], [log for log in logs if choose.randrange(2)])
        return answer | {"result": fewer[way]}


async def test_no_intent_is_missed_where_every_endpoint_leaves_out_a_third() -> None:
    async with chain() as node, endpoints(node) as three:
        async with node.adapter() as adapter:
            await adapter.next_heads(None)
            lane = await adapter.open_lane(None)
            call = adapter.request_call(question(adapter))
            estimate = await adapter.estimate(call)
            for at in range(INTENTS):
                built = await adapter.build(call, estimate, lane)
                lane = built.lane
                await node.anvil.call("eth_sendRawTransaction", "0x" + raw_of(built).hex())
                if at % 7 == 0:
                    await node.anvil.mine(1)
            await node.anvil.mine(3)
            truth = await everything(adapter, await height(node.anvil))
            assert len(truth) == INTENTS
        lies = [Omitting(seed) for seed in range(3)]
        for proxy, lie in zip(three, lies, strict=True):
            proxy.bend = lie
        async with adapter_over(node, three, max_log_range=4) as adapter:
            assert await everything(adapter, await height(node.anvil), 100_000) == truth
        assert all(lie.lies > 1 for lie in lies)


def raw_of(transaction: Built) -> bytes:
    """The signed bytes in a transaction's state, which nobody but the adapter reads otherwise."""
    raw: bytes = msgspec.msgpack.decode(transaction.state)[0]
    return raw


# What faults cost


async def test_an_endpoint_that_has_enough_of_us_is_left_alone_as_long_as_it_says(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with adapter_over(node, proxies, poll_interval=600) as adapter:
        await until_height(adapter, await height(node.anvil))
        proxies[0].bend = slow_down(60)
        before = len(proxies[0].requests)
        for _ in range(50):
            await adapter.intent_state(NEVER_ASKED)
        assert len(proxies[0].requests) - before == 1
        # Where the others are not enough it is asked all the same: it is down only if it says so.
        proxies[0].bend = None
        proxies[1].down = True
        assert await adapter.intent_state(NEVER_ASKED) is IntentState.NONE


@pytest.mark.parametrize("bad", [1, 2, 3])
async def test_flapping_endpoints_lose_nothing_and_cost_at_most_twice_the_calls(
    node: Chain, proxies: list[Proxy], truth: list[Requested], bad: int
) -> None:
    def calls() -> int:
        """All but the looks at the heads, of which there are as many as there is time for."""
        asked = [request for proxy in proxies for request in proxy.requests]
        heads = (["latest"], ["finalized"], [])
        return sum(request["params"][:1] not in heads for request in asked)

    async def cost(bend: Callable[[], Any] | None) -> int:
        options = {"max_log_range": 1, "poll_interval": 600}
        async with adapter_over(node, proxies, **options) as adapter:
            await until_height(adapter, await height(node.anvil))
            before = calls()
            for proxy in proxies[:bad]:
                proxy.bend = bend() if bend else None
            assert await everything(adapter, 0, 1_000) == truth
        return calls() - before

    calm = await cost(None)
    assert await cost(flapping) <= 2 * calm


async def test_heads_follow_endpoints_that_all_fail_every_second_call(
    node: Chain, proxies: list[Proxy]
) -> None:
    for proxy in proxies:
        proxy.bend = flapping()
    async with adapter_over(node, proxies) as adapter:
        for _ in range(5):
            await node.anvil.mine(1)
            await until_height(adapter, await height(node.anvil))
    async with node.adapter(rpc=proxies[0].rpc, finality=1) as alone:
        for _ in range(5):
            await node.anvil.mine(1)
            await until_height(alone, await height(node.anvil))


def flapping() -> Any:
    """Answer every second request with 429."""
    count = 0

    def bend(request: dict, answer: dict) -> Any:
        nonlocal count
        count += 1
        return slow_down(0)(request, answer) if count % 2 else answer

    return bend
