"""What is offered for a place: read back from the bytes that are sent, as Solana's runtime decodes them."""

from typing import Any

import pytest
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from support.solana_harness import LitesvmHarness
from vagus.adapters.base import ChainAdapter, TxStage
from vagus.adapters.conformance.driving import driven, made, proxied, question, ready, submit
from vagus.adapters.conformance.faults import Fault
from vagus.adapters.conformance.solana import result

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_pricing"),
]

BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
MOST = 1_000_000  # micro-lamports of a compute unit, as the config has it
TAGS = 1_024  # by which a lane's counter may raise a price
SIGNATURE = 5_000  # lamports


def asking(fees: list[int]) -> Fault:
    """A node whose recent slots asked these fees, in this order."""
    slots = [{"slot": slot, "prioritizationFee": fee} for slot, fee in enumerate(fees)]
    return result("getRecentPrioritizationFees", lambda _: slots)


def offered(raw: bytes) -> tuple[int, int]:
    """The compute units and the micro-lamports for each that a transaction's own instructions name."""
    message = VersionedTransaction.from_bytes(raw).message
    found = {
        each.data[0]: int.from_bytes(each.data[1:], "little")
        for each in message.instructions
        if message.account_keys[each.program_id_index] == BUDGET
    }
    assert found.keys() == {2, 3}, "SetComputeUnitLimit and SetComputeUnitPrice, once each"
    return found[2], found[3]


async def first_sent(adapter: ChainAdapter, harness: LitesvmHarness) -> tuple[Any, bytes, int]:
    """A request as it is built, its only transaction, and what the estimate said it costs at most."""
    await ready(adapter, harness)
    call = adapter.request_call(question(adapter))
    estimate = await adapter.estimate(call)
    built = await adapter.build(call, estimate, await adapter.open_lane(None))
    (raw,) = (await adapter.advance(built.state)).send
    return built, raw, estimate.fee


@pytest.mark.parametrize(
    ("fees", "least", "most"),
    [
        ([0] * 150, 0, 0),
        ([], 0, 0),
        # Three of four slots asked 75,000 at most, the next one 76,000.
        ([1_000 * fee for fee in range(100, 0, -1)], 75_000, 76_000),
        ([0] * 120 + [10**6] * 30, 0, 0),
        ([0] * 30 + [40_000] * 120, 40_000, 40_000),
        ([MOST] * 150, MOST, MOST),
        ([50 * MOST] * 150, MOST, MOST),
    ],
    ids=["free", "silent", "rising", "a few are dear", "most ask", "at the cap", "over the cap"],
)
async def test_a_call_offers_what_three_of_four_slots_asked_and_never_more_than_its_cap(
    harness: LitesvmHarness, fees: list[int], least: int, most: int
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        proxy.faults = (asking(fees),)
        built, raw, estimated = await first_sent(adapter, harness)
        units, price = offered(raw)
        assert least <= price < most + TAGS
        assert (
            SIGNATURE + units * price / 10**6 <= estimated < SIGNATURE + units * (most + 2 * TAGS)
        )
        end = await driven(adapter, harness, built.state)
        assert end.stage is TxStage.FINAL


async def test_every_transaction_of_a_call_offers_the_same(harness: LitesvmHarness) -> None:
    """A question that is staged: its pieces wait in the same line as the call."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        proxy.faults = (asking([60_000] * 150),)
        sent: list[bytes] = []
        broadcast = adapter.broadcast

        async def seen(raw: bytes) -> None:
            sent.append(raw)
            await broadcast(raw)

        adapter.broadcast = seen  # type: ignore[method-assign]
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter, payload=bytes(range(256)) * 12))
        assert (await submit(adapter, harness, call)).stage is TxStage.FINAL
    assert len(sent) >= 5
    assert all(60_000 <= price < 60_000 + TAGS for _, price in map(offered, sent))


@pytest.mark.parametrize(
    ("asked", "again", "third"),
    [(80_000, 100_000, 125_000), (900_000, MOST, MOST), (0, 1, 2)],
)
async def test_what_expired_is_signed_again_a_quarter_dearer_up_to_the_cap(
    harness: LitesvmHarness, asked: int, again: int, third: int
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        proxy.faults = (asking([asked] * 150),)
        built, raw, _ = await first_sent(adapter, harness)
        prices, state, tx_id = [offered(raw)[1]], built.state, built.tx_id
        tag = prices[0] - asked
        assert 0 <= tag < TAGS
        for _ in range(2):
            await adapter.broadcast(raw)
            await harness.forget(tx_id)
            await harness.advance(161)
            await ready(adapter, harness)
            step = await adapter.advance(state)
            (raw,) = step.send
            state, tx_id = step.state, step.tx_id
            prices.append(offered(raw)[1])
        assert [price - tag for price in prices] == [
            asked,
            pytest.approx(again, abs=2),
            pytest.approx(third, abs=3),
        ]
        assert all(price - tag <= MOST for price in prices)
        assert (await driven(adapter, harness, state)).stage is TxStage.FINAL
