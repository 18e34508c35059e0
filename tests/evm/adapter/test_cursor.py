"""A cursor remembers the block it stands on: a chain that has another one there is halted."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from support.endpoints import adapter_over, endpoints, node_error
from support.evm import Chain, chain, height, question, send, until_height
from vagus.adapters.base import Cursor
from vagus.protocol import Halt, Retry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_cursor"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    """A chain of its own for each test: it will have another history afterwards."""
    async with chain() as found:
        await found.anvil.mine(6)
        yield found


async def read_all(node: Chain) -> Cursor:
    """What a process that then ends leaves behind: the cursor at the final block."""
    async with node.adapter() as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        cursor = await adapter.start()
        assert cursor.height == node.hub.height - 1
        while cursor.height < final.height:
            _, cursor = await adapter.intents(cursor, final)
            block = await node.anvil.call("eth_getBlockByNumber", hex(cursor.height), False)
            assert "0x" + cursor.hash.hex() == block["hash"]
    return cursor


async def test_the_first_cursor_names_the_block_before_the_deployment(node: Chain) -> None:
    async with node.adapter() as adapter:
        await until_height(adapter, await height(node.anvil))
        cursor = await adapter.start()
        block = await node.anvil.call("eth_getBlockByNumber", hex(cursor.height), False)
        assert "0x" + cursor.hash.hex() == block["hash"]


@pytest.mark.parametrize("most", [1, 3])
async def test_a_cursor_names_its_block_in_the_midst_of_a_backlog(node: Chain, most: int) -> None:
    async with node.adapter(max_log_range=most) as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        cursor = await adapter.start()
        while cursor.height < final.height:
            _, cursor = await adapter.intents(cursor, final)
            block = await node.anvil.call("eth_getBlockByNumber", hex(cursor.height), False)
            assert "0x" + cursor.hash.hex() == block["hash"]


async def test_a_chain_that_went_on_is_read_on_from_a_cursor_of_an_earlier_process(
    node: Chain,
) -> None:
    cursor = await read_all(node)
    async with node.adapter(key=1) as adapter:
        await until_height(adapter, await height(node.anvil))
        await send(adapter, node.anvil, adapter.request_call(question(adapter)))
        await node.anvil.mine(3)
        final = (await until_height(adapter, await height(node.anvil))).final
        (found,), after = await adapter.intents(cursor, final)
        assert found.intent.seq == cursor.next_seq
        assert (after.height, after.hash) == (final.height, final.hash)


@pytest.mark.parametrize("mined", [0, 4])
async def test_a_reorganisation_deeper_than_finality_while_the_node_was_down_halts(
    node: Chain, mined: int
) -> None:
    cursor = await read_all(node)
    await node.anvil.call("anvil_reorg", 4, [])
    await node.anvil.mine(mined + 1)  # with nothing mined since, the cursor is at the final block
    async with node.adapter() as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        with pytest.raises(Halt, match=f"block {cursor.height} was final .* while the node was"):
            await adapter.intents(cursor, heads.final)
        # From now on nothing is read, and nothing signed upon it.
        with pytest.raises(Halt):
            await adapter.hub_state()
        with pytest.raises(Halt):
            await adapter.next_heads(heads)
        assert not adapter.healthy


async def test_a_reorganisation_above_the_final_block_is_none_of_its_business(node: Chain) -> None:
    cursor = await read_all(node)
    await node.anvil.call("anvil_reorg", 2, [])
    await node.anvil.mine(3)
    async with node.adapter() as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        _, after = await adapter.intents(cursor, heads.final)
        assert after.height == heads.final.height


async def test_a_cursor_without_a_hash_is_taken_at_its_word(node: Chain) -> None:
    cursor = replace(await read_all(node), hash=b"")
    await node.anvil.call("anvil_reorg", 4, [])
    await node.anvil.mine(4)
    async with node.adapter() as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        _, after = await adapter.intents(cursor, heads.final)
        assert after.hash == heads.final.hash


async def test_a_cursor_ahead_of_the_chain_waits_for_it(node: Chain) -> None:
    cursor = replace(await read_all(node), height=10**6)
    async with node.adapter() as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        assert await adapter.intents(cursor, heads.final) == ([], cursor)


async def test_a_cursor_is_held_against_a_quorum(node: Chain) -> None:
    """One endpoint that hides or forges its block halts nothing, and lets nothing pass."""
    cursor = await read_all(node)
    await node.anvil.mine(3)
    at = hex(cursor.height)
    forged = node_error("eth_getBlockByNumber", "missing trie node")

    def bend(request: dict, answer: dict) -> dict:
        if request["params"][:1] == [at]:
            answer["result"]["hash"] = "0x" + "ee" * 32
        return answer

    async with endpoints(node) as proxies, adapter_over(node, proxies) as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        proxies[0].bend = bend
        proxies[1].bend = forged
        with pytest.raises(Retry, match="2 of 3 endpoints must agree"):
            await adapter.intents(cursor, final)
        proxies[1].bend = None
        _, after = await adapter.intents(cursor, final)
        assert after.height == final.height
    async with endpoints(node) as proxies, adapter_over(node, proxies) as adapter:
        final = (await until_height(adapter, await height(node.anvil))).final
        proxies[0].bend = proxies[1].bend = bend
        with pytest.raises(Halt, match="while the node was down"):
            await adapter.intents(cursor, final)
