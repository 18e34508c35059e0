"""Reading a hub's intents and any contract's events from a real node that lies by omission."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from support.evm import Chain, chain, height, question, until_height
from support.proxy import Proxy
from vagus.adapters.base import ChainAdapter, Cursor, EventFilter, IntentState, Requested
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.protocol import ZERO32, Halt, Retry, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_reading"),
]

# Intents per block: several in one, and empty blocks between.
PATTERN = (1, 0, 3, 0, 0, 2, 1, 0, 0, 0, 4, 1)


@dataclass
class Asked:
    node: Chain
    payloads: list[bytes]
    tx_ids: list[str]
    height: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked() -> AsyncIterator[Asked]:
    async with chain() as node:
        async with node.adapter() as adapter:
            await adapter.next_heads(None)
            lane, payloads, tx_ids = await adapter.open_lane(None), [], []
            for count in PATTERN:
                for _ in range(count):
                    payload = b'{"prompt":"%d"}' % len(payloads)
                    call = adapter.request_call(question(adapter, payload=payload, terms=b"{}"))
                    built = await adapter.build(call, await adapter.estimate(call), lane)
                    lane = built.lane
                    await adapter.broadcast((await adapter.advance(built.state)).send[0])
                    payloads.append(payload)
                    tx_ids.append(built.tx_id)
                await node.anvil.mine(1)
        await node.anvil.mine(3)
        yield Asked(node, payloads, tx_ids, await height(node.anvil))


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(asked: Asked) -> AsyncIterator[Proxy]:
    async with Proxy(asked.node.anvil.rpc) as found:
        yield found


async def read(
    adapter: ChainAdapter, retries: int = 0, cursor: Cursor | None = None
) -> tuple[list[Requested], Cursor, int]:
    """Read all until the final block, as the daemon does; how often a Retry was needed."""
    heads = await adapter.next_heads(None)
    cursor = cursor or await adapter.start()
    found: list[Requested] = []
    used = 0
    while cursor.height < heads.final.height:
        try:
            batch, cursor = await adapter.intents(cursor, heads.final)
        except Retry:
            used += 1
            if used > retries:
                raise
            continue
        found += batch
    return found, cursor, used


def check(asked: Asked, found: list[Requested]) -> None:
    """Each intent once, in order, and as it was asked."""
    assert [one.payload for one in found] == asked.payloads
    first = found[0].intent.seq
    assert [one.intent.seq for one in found] == list(range(first, first + len(found)))
    assert [one.tx_id for one in found] == asked.tx_ids


async def ready(adapter: EvmAdapter, asked: Asked) -> None:
    await until_height(adapter, asked.height)


@pytest.mark.parametrize("most", [1, 2, 5, 2_000])
async def test_all_intents_are_read_in_order_whatever_the_range(asked: Asked, most: int) -> None:
    async with asked.node.adapter(max_log_range=most) as adapter:
        await ready(adapter, asked)
        found, cursor, _ = await read(adapter)
        check(asked, found)
        block = await asked.node.anvil.call("eth_getBlockByNumber", hex(asked.height - 2), False)
        block_hash = bytes.fromhex(block["hash"][2:])
        assert cursor == Cursor(found[-1].intent.seq + 1, asked.height - 2, block_hash)
        assert await adapter.intents(cursor, (await adapter.next_heads(None)).final) == ([], cursor)


async def test_a_fresh_cursor_starts_right_before_the_deployment(asked: Asked) -> None:
    async with asked.node.adapter() as adapter:
        await ready(adapter, asked)
        cursor = await adapter.start()
        assert cursor.height == asked.node.hub.height - 1
        assert cursor.next_seq == (await read(adapter))[0][0].intent.seq


async def test_intents_can_be_read_up_to_the_newest_block(asked: Asked) -> None:
    async with asked.node.adapter() as adapter:
        await ready(adapter, asked)
        heads = await adapter.next_heads(None)
        found, cursor = await adapter.intents(await adapter.start(), heads.latest)
        check(asked, found)
        assert cursor.height == heads.latest.height


async def test_what_was_read_agrees_with_the_hub(asked: Asked) -> None:
    async with asked.node.adapter() as adapter:
        await ready(adapter, asked)
        found, cursor, _ = await read(adapter)
        state = await adapter.hub_state()
        assert state.next_seq == cursor.next_seq
        assert state.at == (await adapter.next_heads(None)).final
        assert not state.paused
        for one in found:
            assert await adapter.intent_state(one.intent.id) is IntentState.OPEN
            block = await asked.node.anvil.call("eth_getBlockByNumber", hex(one.height), False)
            assert "0x" + one.block_hash.hex() == block["hash"]
        assert await adapter.intent_state(ZERO32) is IntentState.NONE
        assert await adapter.delivery(found[0].intent.id) is None


async def test_what_a_transaction_asked_is_read_from_its_receipt(asked: Asked) -> None:
    async with asked.node.adapter() as adapter:
        found, _, _ = await read(adapter)
        assert await adapter.requested(found[3].tx_id) == [found[3]]
        assert await adapter.requested("0x" + "77" * 32) == []
        assert await adapter.requested(asked.node.hub.tx_id) == []


def dropping(hidden: set[int]) -> Any:
    """Answers to eth_getLogs that lack the logs at these positions of the whole history."""
    seen: dict[str, int] = {}

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            for log in answer["result"]:
                seen.setdefault(log["topics"][1], int(log["topics"][2], 16))
            first = min(seen.values(), default=0)
            answer["result"] = [
                log for log in answer["result"] if int(log["topics"][2], 16) - first not in hidden
            ]
        return answer

    return bend


@pytest.mark.parametrize(
    "hidden", [{0}, {1}, {5}, {11}, {3, 4, 5, 6}, set(range(1, 12)), set(range(12))]
)
@pytest.mark.parametrize("most", [3, 2_000])
async def test_a_gap_is_a_retry_and_is_filled_once_the_node_heals(
    asked: Asked, proxy: Proxy, hidden: set[int], most: int
) -> None:
    async with asked.node.adapter(rpc=proxy.rpc, max_log_range=most) as adapter:
        await ready(adapter, asked)
        assert adapter.heads is not None
        whole, _, _ = await read(adapter)  # the proxy learns the first seq as well
        proxy.bend = dropping(hidden)
        await proxy_learns(adapter, asked)
        found: list[Requested] = []
        fault, cursor = "", await adapter.start()
        while not fault:
            try:
                batch, cursor = await adapter.intents(cursor, adapter.heads.final)
            except Retry as error:
                fault = error.reason
            else:
                assert cursor.height < adapter.heads.final.height
                found += batch
        assert "lack seq" in fault
        assert found == whole[: len(found)]
        assert len(found) <= min(hidden)
        proxy.bend = None
        rest, _, _ = await read(adapter, cursor=cursor)
        check(asked, found + rest)


async def proxy_learns(adapter: EvmAdapter, asked: Asked) -> None:
    """Let the bent proxy see the whole history once."""
    wanted = EventFilter(
        asked.node.config().account.address,
        "IntentRequested(bytes32,uint64,(bytes32,uint64,bytes32,bytes32,bytes32,bytes32,bytes32,"
        "uint64,bytes32,bytes32,uint64,bytes32,uint256,uint64),bytes,bytes)",
    )
    await adapter.events(wanted, 0, asked.height)


async def test_answers_that_are_cut_short_are_read_again_in_smaller_ranges(
    asked: Asked, proxy: Proxy
) -> None:
    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] = answer["result"][:4]  # one block holds four
        return answer

    proxy.bend = bend
    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        found, _, _ = await read(adapter, retries=5)
        check(asked, found)


async def test_a_node_with_a_limit_on_ranges_is_read_in_ranges_that_it_takes(
    asked: Asked, proxy: Proxy
) -> None:
    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            wanted = request["params"][0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) >= 3:
                error = {"code": -32005, "message": "query exceeds max block range 3"}
                return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return answer

    proxy.bend = bend
    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        found, _, _ = await read(adapter, retries=30)
        check(asked, found)


FORGERIES = {
    "another address": lambda log: log | {"address": "0x" + "99" * 20},
    "another topic": lambda log: log | {"topics": ["0x" + "00" * 32, *log["topics"][1:]]},
    "another id": lambda log: (
        log | {"topics": [log["topics"][0], "0x" + "00" * 32, log["topics"][2]]}
    ),
    "another payload": lambda log: (
        log | {"data": log["data"].replace("70726f6d7074", "70726f6d7075")}
    ),
    "short data": lambda log: log | {"data": log["data"][:-64]},
    "odd data": lambda log: log | {"data": log["data"] + "0"},
    "no hex": lambda log: log | {"data": "0xzz"},
    "no topics": lambda log: log | {"topics": []},
    "removed": lambda log: log | {"removed": True},
    "out of range": lambda log: log | {"blockNumber": "0x0"},
    "no block": lambda log: log | {"blockNumber": None},
    "two histories": lambda log: log | {"blockHash": "0x" + log["transactionHash"][2:]},
    "a number": lambda log: 7,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_log_is_a_retry(asked: Asked, proxy: Proxy, forge: Any) -> None:
    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] = [forge(log) for log in answer["result"]]
        return answer

    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        proxy.bend = bend
        with pytest.raises(Retry):
            await read(adapter)


async def test_the_same_log_twice_is_a_retry(asked: Asked, proxy: Proxy) -> None:
    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] += answer["result"]
        return answer

    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        proxy.bend = bend
        with pytest.raises(Retry, match="one event twice"):
            await read(adapter)


async def test_a_node_behind_its_own_head_is_a_retry(asked: Asked, proxy: Proxy) -> None:
    """Logs are empty there, and the block that is named by its hash is unknown."""

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] = []
        if request["method"] == "eth_call":
            error = {"code": -32001, "message": "header not found"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return answer

    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        cursor, latest = await adapter.start(), (await adapter.next_heads(None)).latest
        proxy.bend = bend
        with pytest.raises(Retry, match="header not found"):
            await adapter.intents(cursor, latest)


def viewing(answer: str) -> Any:
    return lambda request, found: (
        found | {"result": answer} if request["method"] == "eth_call" else found
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("0x", "no hub at"),
        ("0x00", "14 words expected"),
        ("0x" + "ff" * 32 * 14, "outside uint64"),
        ("0x" + "00" * 32 * 15, "14 words expected"),
    ],
)
async def test_a_view_that_does_not_decode_is_a_retry(
    asked: Asked, proxy: Proxy, answer: str, message: str
) -> None:
    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        proxy.bend = viewing(answer)
        with pytest.raises(Retry, match=message):
            await adapter.hub_state()


async def test_a_contract_that_is_another_hub_halts(asked: Asked, proxy: Proxy) -> None:
    async with asked.node.adapter(rpc=proxy.rpc) as adapter:
        await ready(adapter, asked)
        proxy.bend = viewing("0x" + "00" * 32 * 14)
        with pytest.raises(Halt, match="is another hub"):
            await adapter.hub_state()


async def test_events_of_any_contract_are_read_by_their_signature(asked: Asked) -> None:
    async with asked.node.adapter(max_log_range=3) as adapter:
        wanted = EventFilter(
            asked.node.config().account.address.upper().replace("0X", "0x"),
            "Rotated(uint64,uint64,address[],bytes32,uint64)",
        )
        (found,) = await adapter.events(wanted, 0, asked.height)
        assert found.height == asked.node.hub.height
        assert found.tx_id == asked.node.hub.tx_id
        assert found.topics[0] == keccak256(wanted.event.encode())
        epoch = (await read(adapter))[0][0].intent.seq >> 20
        assert int.from_bytes(found.topics[1], "big") == epoch
        assert await adapter.events(wanted, found.height + 1, asked.height) == []
        nothing = EventFilter("0x" + "12" * 20, wanted.event)
        assert await adapter.events(nothing, 0, asked.height) == []
        with pytest.raises(ValueError, match="lower-case hex"):
            await adapter.events(EventFilter("0x12", wanted.event), 0, 1)
