"""Sending on wasmd: transactions that time out, lanes that another one moves on, indexes that lag."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin

from support.cosmos_harness import CosmosHarness
from vagus.adapters.base import Built, Call, ChainAdapter, Estimate, Step, TxStage
from vagus.adapters.conformance.driving import driven, made, proxied, question, ready, submit
from vagus.adapters.conformance.faults import Error, Lie, Only
from vagus.adapters.conformance.statements import delivering
from vagus.adapters.cosmos.adapter import CosmosAdapter
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.devnet import DENOM, PREFIX, dev_wallet
from vagus.adapters.cosmos.tx import CosmosTx
from vagus.protocol import Refuse, Retry
from vagus.protocol.bech32 import encode

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("cosmos_sending"),
]
TIMEOUT = 20
LATE = Only(("tx",), Error(-32_603, "tx not found"))


@pytest_asyncio.fixture(loop_scope="module")
async def adapter(harness: CosmosHarness) -> AsyncIterator[ChainAdapter]:
    async with made(harness) as found:
        await ready(found, harness)
        yield found


async def built(adapter: ChainAdapter, lane: bytes | None = None) -> Built:
    call = adapter.request_call(question(adapter))
    lane = await adapter.open_lane(None) if lane is None else lane
    return await adapter.build(call, await adapter.estimate(call), lane)


async def steal(harness: CosmosHarness, account: int) -> None:
    """Let the account's owner send something by another client."""
    sender = encode(PREFIX, dev_wallet(account).address)
    coin = Coin(denom=DENOM, amount="1")
    await harness.send(account, [MsgSend(from_address=sender, to_address=sender, amount=[coin])])


def signed(step: Step) -> CosmosTx:
    (raw,) = step.send
    return CosmosTx.decode(raw)


async def test_a_transaction_that_timed_out_is_signed_again_under_its_sequence(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    first = await built(adapter)
    before = signed(await adapter.advance(first.state))
    await harness.advance(TIMEOUT - 1)
    await ready(adapter, harness)
    assert (await adapter.advance(first.state)).state == first.state
    await harness.advance()
    await ready(adapter, harness)
    step = await adapter.advance(first.state)
    assert step.stage is TxStage.BROADCAST
    assert step.state != first.state
    assert step.tx_id != first.tx_id
    after = signed(step)
    assert (after.sequence, after.message) == (before.sequence, before.message)
    assert before.fee < after.fee <= before.fee * 5 // 4 + 1
    assert after.timeout_height == harness.wasmd.height + TIMEOUT
    # What is void is taken by no node, and that is no error: what follows it is known.
    (raw,) = (await adapter.advance(step.state)).send
    await adapter.broadcast(raw)
    end = await driven(adapter, harness, step.state)
    assert (end.stage, end.tx_id) == (TxStage.FINAL, step.tx_id)


async def test_what_timed_out_while_it_waited_for_others_is_offered_for_no_more(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    first = await built(adapter)
    second = await built(adapter, first.lane)
    before = signed(await adapter.advance(second.state))
    await harness.advance(TIMEOUT)
    await ready(adapter, harness)
    step = await adapter.advance(second.state)
    after = signed(step)
    assert (after.sequence, after.fee) == (before.sequence, before.fee)
    assert after.timeout_height > before.timeout_height
    ends = [await driven(adapter, harness, state) for state in (first.state, step.state)]
    assert [end.stage for end in ends] == [TxStage.FINAL] * 2


async def test_bytes_that_are_void_are_broadcast_without_an_error(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    lone = await built(adapter)
    (raw,) = (await adapter.advance(lone.state)).send
    await harness.advance(TIMEOUT + 1)
    await ready(adapter, harness)
    await adapter.broadcast(raw)
    assert (await driven(adapter, harness, lone.state)).stage is TxStage.FINAL


async def test_a_transaction_whose_sequence_another_one_took_is_lost(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    lane = await adapter.open_lane(None)
    ours = await built(adapter, lane)
    await steal(harness, 0)
    await ready(adapter, harness)
    step = await adapter.advance(ours.state)
    assert (step.stage, step.send) == (TxStage.LOST, ())
    # The lane goes on behind both, and what comes next is included.
    again = await adapter.open_lane(ours.lane)
    assert again == ours.lane
    assert (await driven(adapter, harness, (await built(adapter, again)).state)).stage is (
        TxStage.FINAL
    )


async def test_the_end_is_read_from_blocks_where_no_index_has_it(harness: CosmosHarness) -> None:
    async with proxied(harness) as proxy, made(harness, proxy, account=1) as adapter:
        await ready(adapter, harness)
        proxy.faults = (LATE,)
        step = await submit(adapter, harness, adapter.request_call(question(adapter)))
        assert step.stage is TxStage.FINAL
        (found,) = await adapter.requested(step.tx_id)
        assert found.tx_id == step.tx_id

        # A delivery that comes second reverts, and the block says so too.
        call = await delivering(adapter, found.intent, b"x")
        late = await built_of(adapter, call)
        async with made(harness, account=2) as rival:
            await ready(rival, harness)
            theirs = await delivering(rival, found.intent, b"x")
            assert (await submit(rival, harness, theirs)).stage is TxStage.FINAL
        assert (await driven(adapter, harness, late.state)).stage is TxStage.REVERTED

        ours = await built(adapter)
        await steal(harness, 1)
        await ready(adapter, harness)
        assert (await adapter.advance(ours.state)).stage is TxStage.LOST


async def built_of(adapter: ChainAdapter, call: Call) -> Built:
    return await adapter.build(call, await adapter.estimate(call), await adapter.open_lane(None))


async def test_what_comes_before_its_turn_follows_the_one_before_it(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    lane, waiting = await adapter.open_lane(None), []
    for _ in range(4):
        waiting.append(await built(adapter, lane))
        lane = waiting[-1].lane
    for each in reversed(waiting):
        (raw,) = (await adapter.advance(each.state)).send
        await adapter.broadcast(raw)
    await harness.advance()
    await ready(adapter, harness)
    ends = [(await adapter.advance(each.state)).stage for each in waiting]
    assert ends == [TxStage.FINAL] * 4


async def test_what_is_broadcast_at_once_is_sent_once_each_in_its_order(
    harness: CosmosHarness,
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        lane, states, raws = await adapter.open_lane(None), list[bytes](), list[bytes]()
        for _ in range(5):
            one = await built(adapter, lane)
            lane = one.lane
            states.append(one.state)
            raws += (await adapter.advance(one.state)).send
        proxy.calls.clear()
        async with asyncio.TaskGroup() as group:
            for raw in raws:
                group.create_task(adapter.broadcast(raw))
        assert proxy.calls["broadcast_tx_sync"] == 5
        await harness.advance()
        await ready(adapter, harness)
        ends = [(await adapter.advance(state)).stage for state in states]
        assert ends == [TxStage.FINAL] * 5


async def test_a_sequence_that_moved_on_is_read_from_the_node_and_makes_no_storm(
    harness: CosmosHarness,
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy, account=3) as adapter:
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter))
        await adapter.estimate(call)
        for _ in range(3):
            await steal(harness, 3)
        await ready(adapter, harness)
        before = proxy.calls["abci_query"]
        await adapter.estimate(call)
        # One simulation that says what is expected, one that is told so, and the price of gas.
        assert proxy.calls["abci_query"] - before <= 3
        assert (await submit(adapter, harness, call)).stage is TxStage.FINAL


async def test_gas_covers_all_that_the_callback_may_use(
    adapter: ChainAdapter, harness: CosmosHarness
) -> None:
    costs: list[Estimate] = []
    for callback, gas in ((bytes(32), 0), (harness.nobody, 123_456)):
        step = await submit(
            adapter,
            harness,
            adapter.request_call(question(adapter, callback=callback, callback_gas=gas)),
        )
        (found,) = await adapter.requested(step.tx_id)
        costs.append(await adapter.estimate(await delivering(adapter, found.intent, b"x")))
    assert costs[1].gas - costs[0].gas >= 123_456
    assert [each.cost for each in costs] == [-(-each.gas // 40) for each in costs]


async def test_limits_of_gas_and_price_are_said_in_words(harness: CosmosHarness) -> None:
    for changes, kind, words in (
        ({"max_gas": 1_000}, Refuse, "over max_gas 1000"),
        ({"gas_price": "0.001", "max_gas_price": "0.01"}, Retry, "over max_gas_price 0.01"),
    ):
        async with configured(harness, **changes) as adapter:
            await ready(adapter, harness)
            with pytest.raises(kind, match=words):
                await adapter.estimate(adapter.request_call(question(adapter)))


async def test_a_price_under_the_nodes_minimum_is_raised_to_it(harness: CosmosHarness) -> None:
    async with configured(harness, gas_price="0.001") as adapter:
        await ready(adapter, harness)
        found = await adapter.estimate(adapter.request_call(question(adapter)))
        assert found.cost == -(-found.gas // 40)


async def test_a_coin_that_the_hub_does_not_take_halts(harness: CosmosHarness) -> None:
    async with configured(harness, fee_denom="other") as adapter:
        await ready(adapter, harness)
        with pytest.raises(Exception, match="the hub takes another coin"):
            await adapter.hub_state()


async def test_without_a_key_the_adapter_reads_and_sends_nothing(harness: CosmosHarness) -> None:
    adapter = CosmosAdapter(config_of(harness))
    async with adapter:
        await ready(adapter, harness)
        assert (await adapter.hub_state()).current.threshold == 1
        for call in (adapter.balance, lambda: adapter.open_lane(None)):
            with pytest.raises(Refuse, match="no key in the configuration"):
                await call()
        with pytest.raises(Refuse, match="no key in the configuration"):
            await adapter.estimate(adapter.withdraw_call())


async def test_a_node_that_names_another_transaction_is_not_believed(
    harness: CosmosHarness,
) -> None:
    def other(_: object, answer: dict[str, object]) -> dict[str, object]:
        found = answer["result"]
        assert isinstance(found, dict)
        return answer | {"result": found | {"hash": "AB" * 32}}

    async with proxied(harness) as proxy, made(harness, proxy, account=4) as adapter:
        await ready(adapter, harness)
        one = await built(adapter)
        (raw,) = (await adapter.advance(one.state)).send
        proxy.faults = (Only(("broadcast_tx_sync",), Lie(other)),)
        with pytest.raises(Retry, match="another transaction's hash"):
            await adapter.broadcast(raw)
        proxy.faults = ()
        assert (await driven(adapter, harness, one.state)).stage is TxStage.FINAL


async def test_a_lane_or_a_state_that_is_none_is_refused(
    adapter: ChainAdapter,
) -> None:
    call = adapter.withdraw_call()
    with pytest.raises(ValueError, match="a lane is 16 bytes"):
        await adapter.build(call, Estimate(1, 1, 0), b"7")
    with pytest.raises(msgspec.MsgspecError):
        await adapter.advance(b"\xc1")


def config_of(harness: CosmosHarness, **changes: str | int) -> CosmosConfig:
    values = {
        "id": harness.wasmd.chain,
        "hub": harness.hub,
        "rpc": harness.node.rpc,
        "fee_denom": DENOM,
        "poll_interval": 0.05,
    }
    return CosmosConfig(**values | changes)  # type: ignore[arg-type]  # pydantic checks them


def configured(harness: CosmosHarness, **changes: str | int) -> CosmosAdapter:
    return CosmosAdapter(config_of(harness, **changes), dev_wallet(5))
