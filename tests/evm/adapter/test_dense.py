"""A backlog that no endpoint answers in one piece, up to a block that strangers filled."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from support.evm import Chain, chain, height, question, until_height
from support.proxy import Bend, Proxy
from vagus.adapters.base import Cursor, EventFilter, Requested
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.protocol import MAX_PAYLOAD, MAX_TERMS, Retry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_dense"),
]

MIB = 1 << 20
BLOCKS = 3
IN_A_BLOCK = 60
LONG_AGO = 600
REQUESTED = (
    "IntentRequested(bytes32,uint64,(bytes32,uint64,bytes32,bytes32,bytes32,bytes32,bytes32,"
    "uint64,bytes32,bytes32,uint64,bytes32,uint256,uint64),bytes,bytes)"
)


@dataclass
class Asked:
    node: Chain
    payloads: list[bytes]
    height: int


async def ask(node: Chain, payloads: list[bytes], in_a_block: int, terms: bytes = b"") -> None:
    """Send one request for each payload, and mine whenever a block is full."""
    async with node.adapter() as adapter:
        await until_height(adapter, await height(node.anvil))
        estimate, lane = None, await adapter.open_lane(None)
        for number, payload in enumerate(payloads, 1):
            call = adapter.request_call(question(adapter, payload=payload, terms=terms))
            estimate = estimate or await adapter.estimate(call)
            built = await adapter.build(call, estimate, lane)
            lane = built.lane
            await adapter.broadcast((await adapter.advance(built.state)).send[0])
            if number % in_a_block == 0:
                await node.anvil.mine(1)
        await node.anvil.mine(3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full() -> AsyncIterator[Asked]:
    """Blocks of the longest intents, each with more of their logs than 1 MiB of JSON."""
    async with chain(options=("--gas-limit", "60000000")) as node:
        payloads = [at.to_bytes(4, "big") * (MAX_PAYLOAD // 4) for at in range(BLOCKS * IN_A_BLOCK)]
        await ask(node, payloads, IN_A_BLOCK, terms=bytes(MAX_TERMS))
        yield Asked(node, payloads, await height(node.anvil))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long() -> AsyncIterator[Asked]:
    """A block for each intent."""
    async with chain() as node:
        payloads = [b"%d" % at for at in range(LONG_AGO)]
        await ask(node, payloads, 1)
        yield Asked(node, payloads, await height(node.anvil))


async def read(
    adapter: EvmAdapter, cursor: Cursor | None = None
) -> tuple[list[Requested], list[str]]:
    """Read all until the final block; and in words how often that failed."""
    heads = await adapter.next_heads(None)
    cursor = cursor or await adapter.start()
    found: list[Requested] = []
    faults: list[str] = []
    while cursor.height < heads.final.height:
        try:
            batch, cursor = await adapter.intents(cursor, heads.final)
        except Retry as error:
            faults.append(error.reason)
            assert len(faults) < 1_000
        else:
            found += batch
    return found, faults


def check(asked: Asked, found: list[Requested]) -> None:
    """Each once, in order, and as it was asked."""
    assert [each.payload for each in found] == asked.payloads
    first = found[0].intent.seq
    assert [each.intent.seq for each in found] == list(range(first, first + len(found)))


def limited(over: Any) -> Bend:
    """Answer eth_getLogs with an error where `over` says so of the blocks and the logs."""

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            wanted = request["params"][0]
            blocks = int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1
            if over(blocks, len(answer["result"])):
                error = {"code": -32005, "message": "query returned more than allowed"}
                return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return answer

    return bend


LIMITS = {
    "2 logs": lambda blocks, logs: logs > 2,
    "7 logs": lambda blocks, logs: logs > 7,
    "3 blocks": lambda blocks, logs: blocks > 3,
    "20 blocks": lambda blocks, logs: blocks > 20,
}


@pytest.mark.parametrize("over", LIMITS.values(), ids=LIMITS.keys())
async def test_a_limit_is_run_into_by_one_read_in_thirty(long: Asked, over: Any) -> None:
    async with Proxy(long.node.anvil.rpc) as proxy, long.node.adapter(rpc=proxy.rpc) as adapter:
        await until_height(adapter, long.height)
        proxy.bend = limited(over)
        found, faults = await read(adapter)
        check(long, found)
        # The way down from 2,000 blocks is 11 halves.
        assert len(faults) <= 11 + proxy.count("eth_getLogs") // 30


async def test_after_a_fault_that_passes_whole_ranges_are_read_again(long: Asked) -> None:
    async with (
        Proxy(long.node.anvil.rpc) as proxy,
        long.node.adapter(rpc=proxy.rpc, max_log_range=8) as adapter,
    ):
        await until_height(adapter, long.height)
        ranges: list[int] = []

        def over(blocks: int, logs: int) -> bool:
            ranges.append(blocks)
            return len(ranges) <= 5

        proxy.bend = limited(over)
        found, faults = await read(adapter)
        check(long, found)
        assert len(faults) == 5
        assert ranges[:4] == [8, 4, 2, 1]
        assert ranges[-2] == 8


async def test_a_block_with_more_logs_than_an_answer_holds_is_read_by_numbers(full: Asked) -> None:
    async with Proxy(full.node.anvil.rpc) as proxy:
        sizes: list[int] = []

        def weigh(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
            if request["method"] == "eth_getLogs":
                sizes.append(len(orjson.dumps(answer)))
            return answer

        proxy.bend = weigh
        async with full.node.adapter(rpc=proxy.rpc, max_answer=MIB) as adapter:
            await until_height(adapter, full.height)
            found, faults = await read(adapter)
            check(full, found)
            assert faults
            assert all("over 1048576 bytes" in fault for fault in faults)
            assert sum(size > MIB for size in sizes) == len(faults) < 8
            # A whole answer of the most that is asked for by number stays well below the least bound.
            assert max(size for size in sizes if size <= MIB) < MIB * 2 // 3


async def test_another_process_goes_on_within_a_block(full: Asked) -> None:
    found: list[Requested] = []
    cursor: Cursor | None = None
    heights = []
    for _ in range(100):
        async with full.node.adapter(max_answer=MIB) as adapter:
            heads = await until_height(adapter, full.height)
            cursor = cursor or await adapter.start()
            adapter._reader._pace.slower(1)
            batch, cursor = await adapter.intents(cursor, heads.final)
        found += batch
        heights.append(cursor.height)
        if cursor.height == heads.final.height:
            break
    check(full, found)
    assert heights == sorted(heights)
    assert len(heights) > len(set(heights))


def dropping(first: int, hidden: set[int]) -> Bend:
    """Leave out the logs of these intents, counted from the first."""

    def bend(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] = [
                log for log in answer["result"] if int(log["topics"][2], 16) - first not in hidden
            ]
        return answer

    return bend


@pytest.mark.parametrize(
    "hidden",
    [{0}, {31}, {32}, {59}, {60}, {179}, set(range(20, 100)), set(range(180))],
    ids=["0", "31", "32", "59", "60", "179", "20 to 99", "all"],
)
async def test_what_is_left_out_of_a_full_block_is_missed_and_read_later(
    full: Asked, hidden: set[int]
) -> None:
    async with (
        Proxy(full.node.anvil.rpc) as proxy,
        full.node.adapter(rpc=proxy.rpc, max_answer=MIB) as adapter,
    ):
        heads = await until_height(adapter, full.height)
        cursor = await adapter.start()
        proxy.bend = dropping(cursor.next_seq, hidden)
        found: list[Requested] = []
        faults: list[str] = []
        while not any("lack seq" in fault for fault in faults):
            assert cursor.height < heads.final.height
            try:
                batch, cursor = await adapter.intents(cursor, heads.final)
            except Retry as error:
                faults.append(error.reason)
            else:
                found += batch
        assert len(found) <= min(hidden)
        proxy.bend = None
        rest, _ = await read(adapter, cursor)
        check(full, found + rest)


async def test_the_events_of_a_busy_contract_are_read_in_parts(full: Asked) -> None:
    wanted = EventFilter(full.node.config().account.address, REQUESTED)
    async with full.node.adapter() as adapter:
        await until_height(adapter, full.height)
        events = await adapter.events(wanted, 0, full.height)
        places = [(each.height, each.index) for each in events]
        assert len(set(places)) == len(full.payloads)
        assert places == sorted(places)
    async with full.node.adapter(max_answer=MIB) as adapter:
        await until_height(adapter, full.height)
        with pytest.raises(Retry, match="an answer over 1048576 bytes"):
            await adapter.events(wanted, 0, full.height)
