"""The life of a transaction on a real node: what is EVM's own beside the conformance kit."""

from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from support.evm import SIGNER, Chain, chain, finish, height, question, send, until_height
from support.proxy import Proxy
from vagus.adapters.base import (
    AlreadyDone,
    Built,
    Call,
    CallbackState,
    Estimate,
    Rejected,
    TxStage,
)
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.tx import EvmTx
from vagus.protocol import (
    ZERO32,
    Attestation,
    Intent,
    Refuse,
    Retry,
    Rotation,
    address_of,
    keccak256,
    sign,
    signers_hash,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_sending"),
]

GWEI = 10**9
COSTS = ("eth_getTransactionCount", "eth_getTransactionReceipt", "eth_sendRawTransaction")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    async with chain() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def adapter(node: Chain) -> AsyncIterator[EvmAdapter]:
    async with node.adapter() as found:
        await until_height(found, await height(node.anvil))
        yield found


async def built(adapter: EvmAdapter, lane: bytes | None = None, fee: int = 10**15) -> Built:
    call = adapter.request_call(question(adapter, fee=fee))
    lane = lane if lane is not None else await adapter.open_lane(None)
    return await adapter.build(call, await adapter.estimate(call), lane)


async def first_send(adapter: EvmAdapter, transaction: Built) -> bytes:
    (raw,) = (await adapter.advance(transaction.state)).send
    await adapter.broadcast(raw)
    return raw


async def seen(node: Chain, adapter: EvmAdapter, blocks: int) -> None:
    await node.anvil.mine(blocks)
    await until_height(adapter, await height(node.anvil))


async def test_pending_transactions_that_the_journal_does_not_know_are_not_waited_for(
    node: Chain,
) -> None:
    async with node.adapter(key=2) as adapter:
        await adapter.next_heads(None)
        lane = await adapter.open_lane(None)
        await first_send(adapter, await built(adapter, lane))
        assert await adapter.open_lane(None) == lane
        await seen(node, adapter, 1)


async def test_a_stuck_transaction_is_replaced_by_a_dearer_one(
    node: Chain, adapter: EvmAdapter
) -> None:
    one = await built(adapter)
    cheap = EvmTx.decode(await first_send(adapter, one))
    await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(90 * GWEI))
    await seen(node, adapter, 1)
    waiting = await adapter.advance(one.state)
    assert (waiting.tx_id, waiting.state) == (one.tx_id, one.state)
    await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(90 * GWEI))
    await seen(node, adapter, 2)
    step = await adapter.advance(one.state)
    dear = EvmTx.decode(step.send[0])
    assert step.tx_id != one.tx_id
    assert step.state != one.state
    assert dear.nonce == cheap.nonce
    assert dear.data == cheap.data
    assert dear.max_fee * 1000 >= cheap.max_fee * 1125
    assert dear.tip * 1000 >= cheap.tip * 1125
    await adapter.broadcast(step.send[0])
    end = await finish(adapter, node.anvil, step.state)
    assert (end.stage, end.tx_id) == (TxStage.FINAL, step.tx_id)
    await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    await seen(node, adapter, 1)


async def test_the_first_attempt_may_win_after_it_was_replaced(
    node: Chain, adapter: EvmAdapter
) -> None:
    one = await built(adapter)
    raw = await first_send(adapter, one)
    await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(90 * GWEI))
    await seen(node, adapter, 3)
    step = await adapter.advance(one.state)
    assert step.tx_id != one.tx_id
    # Journalled and never sent, as by a node that died in between: the first one is included.
    await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    await adapter.broadcast(raw)  # anvil forgets what it could not include, other nodes keep it
    await seen(node, adapter, 3)
    end = await adapter.advance(step.state)
    assert (end.stage, end.tx_id) == (TxStage.FINAL, one.tx_id)


async def test_no_replacement_goes_over_the_cap(node: Chain) -> None:
    async with node.adapter(key=3, max_fee_per_gas=3 * GWEI) as adapter:
        await until_height(adapter, await height(node.anvil))
        one = await built(adapter)
        raw = await first_send(adapter, one)
        await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(90 * GWEI))
        await seen(node, adapter, 4)
        with pytest.raises(Retry, match="over max_fee_per_gas"):
            await built(adapter)
        step = await adapter.advance(one.state)
        assert (step.state, step.send) == (one.state, (raw,))
        await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        await seen(node, adapter, 3)
        assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_a_transaction_behind_another_is_not_replaced(node: Chain) -> None:
    async with node.adapter(key=4) as adapter:
        await until_height(adapter, await height(node.anvil))
        first = await built(adapter)
        second = await built(adapter, first.lane)
        raw = await first_send(adapter, second)
        await seen(node, adapter, 5)
        step = await adapter.advance(second.state)
        assert (step.state, step.send) == (second.state, (raw,))
        await first_send(adapter, first)
        for one in (first, second):
            assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_transactions_that_wait_for_another_cost_one_count_a_head_and_no_second_sending(
    node: Chain,
) -> None:
    """Else a backlog feeds on itself: the more wait, the fewer get their turn."""
    async with Proxy(node.anvil.rpc) as proxy, node.adapter(key=6, rpc=proxy.rpc) as adapter:
        await until_height(adapter, await height(node.anvil))
        missing = await built(adapter)
        waiting = [await built(adapter, missing.lane)]
        for _ in range(19):
            waiting.append(await built(adapter, waiting[-1].lane))
        for one in waiting:
            await first_send(adapter, one)
        await seen(node, adapter, 1)
        before = [proxy.count(method) for method in COSTS]
        for one in waiting:
            assert (await adapter.advance(one.state)).send == ()
        after = [proxy.count(method) for method in COSTS]
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 0, 0]
        # A node may have dropped them: they are sent again, a little later.
        await seen(node, adapter, 2)
        assert [len((await adapter.advance(one.state)).send) for one in waiting] == [1] * 20
        await first_send(adapter, missing)
        for one in (missing, *waiting):
            assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_a_nonce_that_nobody_comes_by_with_is_used_up_so_that_the_others_go_on(
    node: Chain,
) -> None:
    """Its transaction was final in a block that is gone: nobody sends it again."""
    async with node.adapter(key=7) as adapter:
        await until_height(adapter, await height(node.anvil))
        lane = await adapter.open_lane(None)
        gone = await built(adapter, lane)
        waiting = await built(adapter, gone.lane)
        await first_send(adapter, waiting)
        count = int.from_bytes(lane, "big")
        with capture_logs() as logs:
            await seen(node, adapter, 63)
            await adapter.advance(waiting.state)
            assert logs == []
            await seen(node, adapter, 1)
            await adapter.advance(waiting.state)
            assert [(log["event"], log["nonce"]) for log in logs] == [("nonce filled", count)]
        assert (await finish(adapter, node.anvil, waiting.state)).stage is TxStage.FINAL
        # Whoever holds it after all finds it taken, and is built again.
        assert (await adapter.advance(gone.state)).stage is TxStage.LOST


async def test_what_is_far_behind_is_not_sent_yet(node: Chain) -> None:
    """A node keeps no endless queue of one account."""
    async with node.adapter(key=7) as adapter:
        await until_height(adapter, await height(node.anvil))
        lane = await adapter.open_lane(None)
        next_nonce = int.from_bytes(lane, "big")
        far = await built(adapter, (next_nonce + 512).to_bytes(8, "big"))
        near = await built(adapter, (next_nonce + 511).to_bytes(8, "big"))
        assert (await adapter.advance(far.state)).send == ()
        assert len((await adapter.advance(near.state)).send) == 1


async def test_a_nonce_that_someone_else_used_is_lost_at_finality_only(
    node: Chain, adapter: EvmAdapter
) -> None:
    one = await built(adapter)
    theft = await built(adapter, fee=10**15 + 1)
    await first_send(adapter, theft)
    await seen(node, adapter, 1)
    step = await adapter.advance(one.state)
    assert (step.stage, step.send) == (TxStage.BROADCAST, ())
    await seen(node, adapter, 2)
    assert (await adapter.advance(one.state)).stage is TxStage.LOST
    assert (await adapter.advance(theft.state)).stage is TxStage.FINAL


async def test_a_call_that_fails_is_reverted_at_finality_only(
    node: Chain, adapter: EvmAdapter
) -> None:
    one = await adapter.build(
        adapter.refund_call(ZERO32),
        Estimate(gas=200_000, max_fee=10 * GWEI, tip=GWEI),
        await adapter.open_lane(None),
    )
    await first_send(adapter, one)
    await seen(node, adapter, 1)
    assert (await adapter.advance(one.state)).stage is TxStage.INCLUDED
    await seen(node, adapter, 2)
    assert (await adapter.advance(one.state)).stage is TxStage.REVERTED


async def test_a_reorg_takes_an_inclusion_back_and_it_is_sent_again(
    node: Chain, adapter: EvmAdapter
) -> None:
    one = await built(adapter)
    await first_send(adapter, one)
    await seen(node, adapter, 1)
    assert (await adapter.advance(one.state)).stage is TxStage.INCLUDED
    await node.anvil.call("anvil_reorg", 1, [])
    await node.anvil.call("anvil_dropTransaction", one.tx_id)
    step = await adapter.advance(one.state)
    assert (step.stage, len(step.send)) == (TxStage.BROADCAST, 1)
    assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_what_the_hub_rejects_is_a_refusal_in_its_words(adapter: EvmAdapter) -> None:
    with pytest.raises(AlreadyDone) as raised:
        await adapter.estimate(adapter.refund_call(ZERO32))
    assert raised.value.reason == "intent not open"
    late = question(adapter, deadline=10**10)
    with pytest.raises(Rejected, match="deadline too late"):
        await adapter.estimate(adapter.request_call(late))


async def test_a_call_over_the_most_gas_is_refused(node: Chain) -> None:
    async with node.adapter(max_gas=30_000) as adapter:
        await adapter.next_heads(None)
        with pytest.raises(Refuse, match="over max_gas"):
            await adapter.estimate(adapter.request_call(question(adapter)))


async def test_an_account_without_money_is_a_retry(node: Chain) -> None:
    async with node.adapter(key=5) as adapter:
        await until_height(adapter, await height(node.anvil))
        await node.anvil.fund(adapter.account[12:], 0)
        assert await adapter.balance() == 0
        call = adapter.request_call(question(adapter))
        poor = await adapter.build(
            call, Estimate(200_000, 9 * GWEI, GWEI), await adapter.open_lane(None)
        )
        address = "0x" + adapter.account[12:].hex()
        for attempt in (adapter.estimate(call), first_send(adapter, poor)):
            with pytest.raises(Retry, match=f"{address} on eip155:31337 cannot pay") as raised:
                await attempt
            assert raised.value.after == 30
        await node.anvil.fund(adapter.account[12:], 10**20)
        assert await adapter.balance() == 10**20


async def test_without_a_keystore_all_is_read_and_nothing_sent(node: Chain) -> None:
    async with EvmAdapter(node.config()) as adapter:
        await adapter.next_heads(None)
        assert (await adapter.hub_state()).min_fee == 0
        assert adapter.account == ZERO32
        call = adapter.request_call(question(adapter))
        for attempt in (adapter.estimate(call), adapter.open_lane(None), adapter.balance()):
            with pytest.raises(Refuse, match="no key in the configuration"):
                await attempt
        with pytest.raises(Refuse, match="no key in the configuration"):
            await adapter.build(call, Estimate(1, 1, 1), bytes(8))


async def test_a_node_that_answers_another_hash_is_not_believed(node: Chain) -> None:
    async with Proxy(node.anvil.rpc) as proxy, node.adapter(key=6, rpc=proxy.rpc) as adapter:
        await until_height(adapter, await height(node.anvil))
        one = await built(adapter)
        proxy.bend = lambda request, answer: (
            answer | {"result": "0x" + "00" * 32}
            if request["method"] == "eth_sendRawTransaction"
            else answer
        )
        with pytest.raises(Retry, match="another transaction's hash"):
            await first_send(adapter, one)
        await seen(node, adapter, 3)
        # A receipt that belongs to no block of the chain is not believed either.
        proxy.bend = lambda request, answer: (
            answer | {"result": answer["result"] | {"blockHash": "0x" + "00" * 32}}
            if request["method"] == "eth_getTransactionReceipt"
            else answer
        )
        with pytest.raises(Retry, match="in no block of the chain"):
            await adapter.advance(one.state)


async def test_an_underpriced_replacement_is_a_retry(node: Chain) -> None:
    async with node.adapter(key=7) as adapter:
        await until_height(adapter, await height(node.anvil))
        lane = await adapter.open_lane(None)
        await first_send(adapter, await built(adapter, lane))
        with pytest.raises(Retry, match="underpriced: another transaction of 0x") as caught:
            await first_send(adapter, await built(adapter, lane, fee=1))
        assert caught.value.reason.startswith("http://127.0.0.1:")
        assert "another sending from the account is under way: try again" in caught.value.reason
        await seen(node, adapter, 1)


# The hub's calls


async def ask(node: Chain, adapter: EvmAdapter, **changes: object) -> Intent:
    end = await send(adapter, node.anvil, adapter.request_call(question(adapter, **changes)))
    assert end.stage is TxStage.FINAL
    (found,) = await adapter.requested(end.tx_id)
    return found.intent


async def attested(adapter: EvmAdapter, intent: Intent, output: bytes) -> tuple[Attestation, bytes]:
    attestation = Attestation(
        intent_id=intent.id,
        origin_hub=intent.origin_hub,
        status=0,
        output_hash=keccak256(output),
        agent_digest=b"\x01" * 32,
        model_digest=ZERO32,
        evidence_hash=b"\x02" * 32,
        epoch=(await adapter.hub_state()).current.epoch,
        expiry=intent.deadline,
    )
    return attestation, sign(attestation.digest(adapter.hub_id), SIGNER)


async def test_a_committee_names_the_next_one(node: Chain) -> None:
    async with chain(chain_id=31_338) as other, other.adapter() as adapter:
        await until_height(adapter, await height(other.anvil))
        state = await adapter.hub_state()
        signers = tuple(sorted((b"\x05" * 20, address_of(SIGNER))))
        rotation = Rotation(
            state.current.epoch + 1, signers_hash(signers), 2, state.at.time, ZERO32
        )
        signature = sign(rotation.digest(adapter.hub_id), SIGNER)
        call = adapter.rotate_call(rotation, signers, [signature])
        assert (await send(adapter, other.anvil, call)).stage is TxStage.FINAL
        current = (await adapter.hub_state()).current
        assert (current.epoch, current.signers, current.threshold) == (
            *(state.current.epoch + 1, signers, 2),
        )
        with pytest.raises(AlreadyDone, match="not the next epoch"):
            await adapter.estimate(call)


async def test_a_lane_or_state_that_is_not_ours_is_a_value_error(node: Chain) -> None:
    adapter = node.adapter()
    with pytest.raises(ValueError, match="a lane is 8 bytes"):
        await adapter.build(Call("0x" + "00" * 20, b""), Estimate(1, 1, 1), b"7")


# Whatever it is called with: logs without topics and data, until its gas is all but used.
LOUD = "0x5b5f5fa05a6103e81060005700"


@pytest.mark.parametrize(("most", "too_long"), [(1 << 20, True), (2 << 20, False)])
async def test_a_callback_that_logs_all_that_it_can_keeps_no_delivery_from_its_end(
    node: Chain, most: int, too_long: bool
) -> None:
    await node.anvil.call("anvil_setCode", "0x" + "4c" * 20, LOUD)
    async with node.adapter(key=8, max_answer=most) as adapter:
        await until_height(adapter, await height(node.anvil))
        callback = bytes(12) + b"\x4c" * 20
        intent = await ask(node, adapter, callback=callback, callback_gas=2_000_000)
        attestation, signature = await attested(adapter, intent, b"x")
        deliver = adapter.deliver_call(intent, attestation, b"x", [signature])
        end = await send(adapter, node.anvil, deliver)
        assert end.stage is TxStage.FINAL
        delivery = await adapter.delivery(intent.id)
        assert delivery is not None
        assert delivery.callback is CallbackState.SUCCEEDED
        receipt = await node.anvil.call("eth_getTransactionReceipt", end.tx_id)
        assert (len(orjson.dumps(receipt)) > most) is too_long
        assert receipt["logs"][1]["topics"] == []
