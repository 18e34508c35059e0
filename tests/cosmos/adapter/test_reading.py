"""Reading a hub on wasmd: pages, events that are not the hub's, chains whose id needs hashing."""

import copy
from typing import Any

import pytest
from bech32 import bech32_decode, bech32_encode

from support.cosmos_harness import CosmosHarness
from vagus.adapters.base import Cursor
from vagus.adapters.conformance.cosmos import result, smart
from vagus.adapters.conformance.driving import (
    as_asked,
    caught_up,
    final,
    made,
    payloads,
    proxied,
    question,
    read_all,
    ready,
    submit,
)
from vagus.adapters.conformance.faults import Lie, Only, Status
from vagus.adapters.conformance.harness import Urls
from vagus.protocol import Halt, Retry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("cosmos_reading"),
]


async def test_a_backlog_of_several_pages_is_read_whole(harness: CosmosHarness) -> None:
    """And each block once, though one goes over two pages."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        # 130 in one block, more than a page has, and then some in others.
        asked = await harness.ask(payloads(130))
        for _ in range(3):
            asked += await harness.ask(payloads(1))
        assert len({each.height for each in asked}) == 4
        await final(adapter, harness)
        proxy.calls.clear()
        found, cursors = await read_all(adapter, before)
        assert as_asked(found) == asked
        assert (proxy.calls["block"], proxy.calls["block_results"]) == (4, 4)
        assert [each.height for each in cursors] == sorted(each.height for each in cursors)
        seqs = [each.next_seq for each in cursors]
        assert seqs == sorted(seqs)


async def test_blocks_without_a_request_are_not_asked_for(harness: CosmosHarness) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        await harness.advance(50)
        await harness.ask(payloads(1))
        await final(adapter, harness)
        proxy.calls.clear()
        found, _ = await read_all(adapter, before)
        assert len(found) == 1
        assert (proxy.calls["block"], proxy.calls["block_results"]) == (1, 1)


async def test_a_block_that_came_is_not_read_again_where_another_one_fails(
    harness: CosmosHarness,
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(1))
        asked += await harness.ask(payloads(1))
        heads = await final(adapter, harness)
        last = str(asked[1].height)

        def failing(found: dict[str, Any]) -> dict[str, Any]:
            return found | {"txs_results": None} if found["height"] == last else found

        proxy.faults = (result("block_results", failing),)
        with pytest.raises(Retry, match="not one result for each transaction"):
            await adapter.intents(before, heads.final)
        proxy.faults = ()
        proxy.calls.clear()
        found, _ = await adapter.intents(before, heads.final)
        assert as_asked(found) == asked
        assert proxy.calls["block_results"] == 1


def _bent_events(bend: Any) -> Any:
    def bent(found: dict[str, Any]) -> dict[str, Any]:
        for each in found["txs_results"] or ():
            each["events"] = [
                other
                for event in each["events"]
                for other in (bend(event) if event["type"] == "wasm-intent_requested" else [event])
            ]
        return found

    return result("block_results", bent)


def _changed(event: dict[str, Any], **changes: str) -> dict[str, Any]:
    event = copy.deepcopy(event)
    for attribute in event["attributes"]:
        attribute["value"] = changes.get(attribute["key"], attribute["value"])
    return event


async def test_an_event_of_another_contract_counts_for_nothing(harness: CosmosHarness) -> None:
    """One that looks like the hub's to the letter, but that the chain ascribes to another one."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(1))
        await final(adapter, harness)
        other = "wasm1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqssdk9vm"

        def doubled(event: dict[str, Any]) -> list[dict[str, Any]]:
            forged = _changed(event, _contract_address=other, seq="1", max_fee="9")
            both = copy.deepcopy(event)
            both["attributes"].append({"key": "_contract_address", "value": other})
            return [forged, both, event]

        proxy.faults = (_bent_events(doubled),)
        found, _ = await read_all(adapter, before)
        assert as_asked(found) == asked


async def test_the_events_of_a_failed_transaction_count_for_nothing(
    harness: CosmosHarness,
) -> None:
    """And the block is read again, from which they were missing."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(1))
        heads = await final(adapter, harness)

        def failed(found: dict[str, Any]) -> dict[str, Any]:
            return found | {"txs_results": [each | {"code": 5} for each in found["txs_results"]]}

        proxy.faults = (result("block_results", failed),)
        with pytest.raises(Retry, match="lack their event"):
            await adapter.intents(before, heads.final)
        proxy.faults = ()
        found, _ = await adapter.intents(before, heads.final)
        assert as_asked(found) == asked


@pytest.mark.parametrize("attributes", [5, [{"key": "seq"}], [{"key": "seq", "value": 1}]])
async def test_attributes_that_are_none_are_a_nodes_fault(
    harness: CosmosHarness, attributes: Any
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(1))
        heads = await final(adapter, harness)
        proxy.faults = (_bent_events(lambda event: [event | {"attributes": attributes}]),)
        with pytest.raises(Retry, match="events of block"):
            await adapter.intents(before, heads.final)
        proxy.faults = ()
        found, _ = await adapter.intents(before, heads.final)
        assert as_asked(found) == asked


async def test_a_request_that_no_transaction_made_is_read_too(harness: CosmosHarness) -> None:
    """Governance and modules run contracts at a block's end: their events stand in the block."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        (asked,) = await harness.ask(payloads(1))
        await final(adapter, harness)

        def moved(found: dict[str, Any]) -> dict[str, Any]:
            for each in found["txs_results"] or ():
                found["finalize_block_events"] += each["events"]
                each["events"] = []
            return found

        proxy.faults = (result("block_results", moved),)
        (found,), _ = await read_all(adapter, before)
        assert (found.intent.id, found.tx_id) == (asked.intent_id, "")


async def test_a_hub_that_counts_otherwise_than_it_lists_is_a_retry(
    harness: CosmosHarness,
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        before = await caught_up(adapter, harness)
        await harness.ask(payloads(2))
        heads = await final(adapter, harness)
        for bend in (lambda found: [], lambda found: found[1:], lambda found: found + found):
            proxy.faults = (smart("requests", bend),)
            with pytest.raises(Retry):
                await adapter.intents(before, heads.final)


async def test_a_cursor_of_another_history_halts(harness: CosmosHarness) -> None:
    async with made(harness) as adapter:
        heads = await ready(adapter, harness)
        strange = Cursor(1, heads.final.height - 1, b"\x66" * 32)
        with pytest.raises(Halt, match="was final and is another one now"):
            await adapter.intents(strange, heads.final)


async def test_the_wrong_hub_halts(harness: CosmosHarness) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        proxy.faults = (smart("config", lambda found: found | {"hub_id": "11" * 32}),)
        with pytest.raises(Halt, match="is another hub"):
            await adapter.hub_state()


async def test_a_name_that_is_no_transaction_is_refused(harness: CosmosHarness) -> None:
    async with made(harness) as adapter:
        await ready(adapter, harness)
        for name in ("", "0x12", "ab" * 32, "AB" * 31):
            with pytest.raises(ValueError, match="is no transaction"):
                await adapter.requested(name)
        assert await adapter.requested("AB" * 32) == []


async def test_a_node_that_limits_says_so_for_the_endpoint_alone(harness: CosmosHarness) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        proxy.faults = (Only(("abci_query",), Status(503)),)
        with pytest.raises(Retry, match="HTTP 503"):
            await adapter.hub_state()


async def test_what_a_node_repeats_of_its_url_is_never_shown(harness: CosmosHarness) -> None:
    """An API key may stand there."""
    secret = "a-key-that-nobody-may-see"

    def repeated(_: object, answer: dict[str, Any]) -> dict[str, Any]:
        answer["result"]["response"] |= {"code": 5, "codespace": secret, "log": f"for {secret}"}
        return answer

    def failed(_: object, answer: dict[str, Any]) -> dict[str, Any]:
        return {"id": answer["id"], "error": {"code": 1, "message": secret, "data": secret}}

    async with proxied(harness) as proxy:
        urls = Urls(f"{proxy.rpc}/?key={secret}", harness.node.ws)
        async with harness.adapter([urls]) as adapter:
            await ready(adapter, harness)
            for fault in (repeated, failed):
                proxy.faults = (Only(("abci_query", "tx"), Lie(fault)),)
                for call in (adapter.hub_state, adapter.upgradeable, adapter.balance):
                    with pytest.raises(Retry) as raised:
                        await call()
                    assert secret not in str(raised.value)
                    assert "…" in raised.value.reason


async def test_a_chain_whose_id_needs_hashing_is_served_like_any_other() -> None:
    async with CosmosHarness("Vagus_Test-Net.1") as harness:
        assert harness.hub.startswith("cosmos:hashed-")
        async with made(harness) as adapter:
            await ready(adapter, harness)
            step = await submit(adapter, harness, adapter.request_call(question(adapter)))
            (found,) = await adapter.requested(step.tx_id)
            assert found.intent.origin_hub == adapter.hub_id
            assert (await adapter.hub_state()).next_seq == found.intent.seq + 1


async def test_a_hub_whose_address_is_another_chains_halts(harness: CosmosHarness) -> None:
    """The prefix is in no CAIP-2 id: only the chain tells, and by a quorum."""
    elsewhere = copy.copy(harness)
    data = bech32_decode(harness.address)[1]
    assert data is not None
    address = bech32_encode("juno", data)
    elsewhere.hub = f"{harness.wasmd.chain}:{address}"
    async with proxied(elsewhere) as proxy, made(elsewhere, proxy) as adapter:
        await ready(adapter, elsewhere)
        with pytest.raises(Halt, match=f"{address} is of another chain: .* wasm1"):
            await adapter.hub_state()
