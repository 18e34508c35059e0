"""A transaction's life over three endpoints, of which one lies, forgets or is down."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from eth_abi import encode
from web3 import Web3

from support.endpoints import adapter_over, answering, endpoints, names, node_error
from support.evm import Chain, chain, finish, height, question, until_height
from support.proxy import Proxy
from vagus.adapters.base import AlreadyDone, Built, Estimate, Rejected, TxStage
from vagus.adapters.errors import NoQuorum
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.tx import EvmTx
from vagus.protocol import ZERO32, Refuse, Retry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_quorum_sending"),
]

GWEI = 10**9


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    async with chain() as found:
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


async def built(adapter: EvmAdapter, lane: bytes | None = None) -> Built:
    call = adapter.request_call(question(adapter))
    lane = lane if lane is not None else await adapter.open_lane(None)
    return await adapter.build(call, await adapter.estimate(call), lane)


async def seen(node: Chain, adapter: EvmAdapter, blocks: int) -> None:
    await node.anvil.mine(blocks)
    await until_height(adapter, await height(node.anvil))


def revert(reason: str) -> str:
    return "0x08c379a0" + encode(["string"], [reason]).hex()


# Simulations


async def test_a_revert_that_one_endpoint_forges_refuses_nothing(
    adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    call = adapter.request_call(question(adapter))
    honest = (await adapter.estimate(call)).gas
    proxies[0].bend = node_error(
        "eth_estimateGas", "execution reverted", 3, data=revert("already delivered")
    )
    for _ in range(10):
        assert (await adapter.estimate(call)).gas == honest


async def test_a_success_that_one_endpoint_forges_is_none(
    adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    refund = adapter.refund_call(ZERO32)
    proxies[0].bend = answering("eth_estimateGas", lambda _: "0x5208")
    for _ in range(10):
        with pytest.raises(AlreadyDone, match="intent not open"):
            await adapter.estimate(refund)
    proxies[1].down = True
    with pytest.raises(NoQuorum, match="a simulation: 2 of 3 endpoints must agree"):
        await adapter.estimate(refund)


async def test_two_reasons_are_no_refusal(adapter: EvmAdapter, proxies: list[Proxy]) -> None:
    for proxy, reason in zip(proxies, ("deadline too late", "fee too low", "paused"), strict=True):
        proxy.bend = node_error("eth_estimateGas", "execution reverted", 3, data=revert(reason))
    with pytest.raises(NoQuorum):
        await adapter.estimate(adapter.request_call(question(adapter)))


async def test_clients_that_word_a_revert_differently_agree(
    adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    words = ("execution reverted", "VM execution error.", "Execution reverted")
    for proxy, message in zip(proxies, words, strict=True):
        proxy.bend = node_error("eth_estimateGas", message, 3, data="0x")
    with pytest.raises(Rejected, match=r"(?i)execution"):
        await adapter.estimate(adapter.request_call(question(adapter)))


@pytest.mark.parametrize(("gas", "factor"), [("0x5208", 1), (hex(10**6), 0)])
async def test_the_gas_is_the_most_of_those_that_agree(
    adapter: EvmAdapter, proxies: list[Proxy], gas: str, factor: int
) -> None:
    """Too little from one is made good by another; too much costs nothing that is not used."""
    call = adapter.request_call(question(adapter))
    honest = (await adapter.estimate(call)).gas
    proxies[1].down = True
    proxies[0].bend = answering("eth_estimateGas", lambda _: gas)
    found = (await adapter.estimate(call)).gas
    assert found == honest if factor else found == 1_200_000


async def test_gas_over_the_most_is_refused_by_a_quorum_only(
    node: Chain, proxies: list[Proxy]
) -> None:
    proxies[0].bend = answering("eth_estimateGas", lambda _: hex(10**18))
    async with adapter_over(node, proxies) as adapter:
        await until_height(adapter, await height(node.anvil))
        call = adapter.request_call(question(adapter))
        assert (await adapter.estimate(call)).gas < 10**6
        proxies[1].bend = answering("eth_estimateGas", lambda _: hex(10**17))
        with pytest.raises(Refuse, match="over max_gas"):
            await adapter.estimate(call)


@pytest.mark.parametrize("tip", ["0x0", hex(10**18)])
async def test_the_tip_is_the_median(node: Chain, proxies: list[Proxy], tip: str) -> None:
    async with adapter_over(node, proxies) as adapter:
        await until_height(adapter, await height(node.anvil))
        honest = await node.anvil.call("eth_maxPriorityFeePerGas")
        proxies[2].bend = answering("eth_maxPriorityFeePerGas", lambda _: tip)
        found = await adapter.estimate(adapter.request_call(question(adapter)))
        assert found.tip == int(honest, 16)


# Lanes and balances


@pytest.mark.parametrize("lie", ["0x0", "0xffff"])
async def test_one_endpoint_alone_moves_neither_lane_nor_balance(
    node: Chain, proxies: list[Proxy], lie: str
) -> None:
    async with node.adapter(key=1) as alone, adapter_over(node, proxies, key=1) as adapter:
        await until_height(adapter, await height(node.anvil))
        await until_height(alone, await height(node.anvil))
        lane, balance = await alone.open_lane(None), await alone.balance()
        proxies[0].bend = answering("eth_getTransactionCount", lambda _: lie)
        for _ in range(5):
            assert await adapter.open_lane(None) == lane
            assert await adapter.open_lane(lane) == lane
        proxies[0].bend = answering("eth_getBalance", lambda _: lie)
        for _ in range(5):
            assert await adapter.balance() == balance


async def test_a_lane_that_is_opened_again_skips_nothing_that_is_not_final(node: Chain) -> None:
    """Someone else's transaction may vanish by a reorganisation; behind it ours would wait forever."""
    async with node.adapter(key=2) as thief, node.adapter(key=2) as adapter:
        await until_height(adapter, await height(node.anvil))
        await until_height(thief, await height(node.anvil))
        lane = await adapter.open_lane(None)
        stolen = await built(thief, lane)
        (raw,) = (await thief.advance(stolen.state)).send
        await thief.broadcast(raw)
        await seen(node, adapter, 1)
        assert await adapter.open_lane(lane) == lane  # as a node does that starts again
        await node.anvil.call("anvil_reorg", 1, [])
        await node.anvil.call("anvil_dropTransaction", stolen.tx_id)
        one = await built(adapter, lane)
        assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL
        assert await adapter.open_lane(lane) == one.lane  # what is final is skipped


@pytest.mark.parametrize("stolen", [1, 3])
async def test_stolen_nonces_are_made_good_within_three_blocks(node: Chain, stolen: int) -> None:
    """From the theft's block on: two until that is final, then ours is built again and included."""
    async with node.adapter(key=3) as thief, node.adapter(key=3) as adapter:
        await until_height(adapter, await height(node.anvil))
        lane = await adapter.open_lane(None)
        await until_height(thief, await height(node.anvil))
        ours, theirs = await built(adapter, lane), lane
        for _ in range(stolen):
            call = thief.request_call(question(thief, fee=10**15 + 1))
            theft = await thief.build(call, await thief.estimate(call), theirs)
            theirs = theft.lane
            await thief.broadcast((await thief.advance(theft.state)).send[0])
        await seen(node, adapter, 1)
        since, rebuilt = await height(node.anvil), 0
        await adapter.broadcast(raw_of(ours))
        while (step := await adapter.advance(ours.state)).stage is not TxStage.INCLUDED:
            if step.stage is TxStage.LOST:
                ours, rebuilt = await built(adapter, ours.lane), rebuilt + 1
                continue
            for raw in step.send:
                await adapter.broadcast(raw)
            await seen(node, adapter, 1)
        assert rebuilt == stolen
        assert await height(node.anvil) - since <= 3
        assert (await finish(adapter, node.anvil, ours.state)).stage is TxStage.FINAL


def raw_of(transaction: Built) -> bytes:
    """The signed bytes in a transaction's state, which nobody but the adapter reads otherwise."""
    raw: bytes = msgspec.msgpack.decode(transaction.state)[0]
    assert EvmTx.decode(raw).to
    return raw


# Broadcasts


class Swallowing(Proxy):
    """Says at once that it took a transaction, by the right hash, and passes none on."""

    async def _post(self, request: web.Request) -> web.StreamResponse:
        asked = orjson.loads(await request.read())
        if asked["method"] != "eth_sendRawTransaction":
            return await super()._post(request)
        self.requests.append(asked)
        taken = Web3.keccak(hexstr=asked["params"][0]).to_0x_hex()
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": taken})


async def test_an_endpoint_that_swallows_transactions_stops_none(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with Swallowing(node.anvil.rpc) as swallowing:
        over = [swallowing, *proxies[1:]]
        async with adapter_over(node, over, key=4) as adapter:
            await until_height(adapter, await height(node.anvil))
            one = await built(adapter)
            (raw,) = (await adapter.advance(one.state)).send
            await adapter.broadcast(raw)
            # The fastest answer was its own; the others are told all the same.
            while not all(proxy.count("eth_sendRawTransaction") for proxy in over):
                await asyncio.sleep(0.01)
            while await node.anvil.call("eth_getTransactionByHash", one.tx_id) is None:
                await asyncio.sleep(0.01)
            await seen(node, adapter, 1)
            assert (await adapter.advance(one.state)).stage is TxStage.INCLUDED


async def test_one_endpoint_that_takes_a_transaction_is_enough(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with adapter_over(node, proxies, key=4) as adapter:
        await until_height(adapter, await height(node.anvil))
        one = await built(adapter)
        (raw,) = (await adapter.advance(one.state)).send
        proxies[0].bend = node_error("eth_sendRawTransaction", "txpool is full")
        proxies[1].bend = answering("eth_sendRawTransaction", lambda _: "0x" + "00" * 32)
        await adapter.broadcast(raw)
        proxies[2].bend = node_error("eth_sendRawTransaction", "already known")
        await adapter.broadcast(raw)
        proxies[2].down = True
        with pytest.raises(Retry) as raised:
            await adapter.broadcast(raw)
        reasons = ("txpool is full", "another transaction's hash", "ServerDisconnectedError")
        for name, words in zip(names(adapter), reasons, strict=True):
            assert any(
                part.startswith(f"{name}: ") and words in part
                for part in raised.value.reason.split("; ")
            )


async def test_an_account_that_cannot_pay_is_said_by_those_that_answer(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with adapter_over(node, proxies, key=5) as adapter:
        await until_height(adapter, await height(node.anvil))
        await node.anvil.fund(adapter.account[12:], 0)
        call = adapter.request_call(question(adapter))
        poor = await adapter.build(
            call, Estimate(200_000, 9 * GWEI, GWEI), await adapter.open_lane(None)
        )
        (raw,) = (await adapter.advance(poor.state)).send
        address = "0x" + adapter.account[12:].hex()
        with pytest.raises(Retry, match=f"{address} on eip155:31337 cannot pay") as raised:
            await adapter.broadcast(raw)
        assert raised.value.after == 30
        await node.anvil.fund(adapter.account[12:], 10**20)


# What ends a transaction


async def test_an_inclusion_that_one_endpoint_forges_is_none(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    final = (await until_height(adapter, 0)).final
    one = await built(adapter)
    receipt = {
        "transactionHash": one.tx_id,
        "blockNumber": hex(final.height),
        "blockHash": "0x" + final.hash.hex(),
        "status": "0x1",
        "logs": [],
    }
    proxies[0].bend = answering("eth_getTransactionReceipt", lambda _: receipt)
    for _ in range(5):
        step = await adapter.advance(one.state)
        assert step.stage is TxStage.BROADCAST
        assert step.send
    proxies[1].down = True
    with pytest.raises(NoQuorum, match="a receipt: 2 of 3"):
        await adapter.advance(one.state)


@pytest.mark.parametrize("status", ["0x0", None])
async def test_an_inclusion_that_one_endpoint_hides_or_fails_is_one(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy], status: str | None
) -> None:
    one = await built(adapter)
    proxies[2].bend = answering(
        "eth_getTransactionReceipt",
        lambda receipt: receipt and status and receipt | {"status": status},
    )
    assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL
    for _ in range(5):
        assert (await adapter.advance(one.state)).stage is TxStage.FINAL


async def test_a_nonce_that_one_endpoint_calls_used_is_not_lost(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    one = await built(adapter)
    proxies[1].bend = answering("eth_getTransactionCount", lambda _: "0xffff")
    for _ in range(5):
        step = await adapter.advance(one.state)
        assert (step.stage, len(step.send)) == (TxStage.BROADCAST, 1)
    assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_a_loss_needs_a_quorum_at_finality(
    node: Chain, adapter: EvmAdapter, proxies: list[Proxy]
) -> None:
    one = await built(adapter)
    # At the newest block all say so, as before a reorganisation; at the final one, by its hash, one.
    for proxy in proxies:
        proxy.bend = answering("eth_getTransactionCount", lambda _: "0xffff", FROM, "latest")
    proxies[0].bend = answering("eth_getTransactionCount", lambda _: "0xffff")
    for _ in range(5):
        assert (await adapter.advance(one.state)).stage is TxStage.BROADCAST
    proxies[1].bend = proxies[0].bend
    assert (await adapter.advance(one.state)).stage is TxStage.LOST


FROM = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"  # the first development key's, in lower case


# Stuck, dropped, outbid


async def test_a_transaction_that_the_mempool_forgets_again_and_again_gets_through(
    node: Chain,
) -> None:
    """Over one endpoint: of several, a slow one may bring it back before the test looks."""
    async with node.adapter(key=7) as adapter:
        await until_height(adapter, await height(node.anvil))
        one = await built(adapter)
        for _ in range(2):
            (raw,) = (await adapter.advance(one.state)).send
            await adapter.broadcast(raw)
            account = "0x" + adapter.account[12:].hex()
            await node.anvil.call("anvil_removePoolTransactions", account)
            assert await node.anvil.call("eth_getTransactionByHash", one.tx_id) is None
            await seen(node, adapter, 1)
        (raw,) = (await adapter.advance(one.state)).send
        await adapter.broadcast(raw)
        await seen(node, adapter, 1)
        step = await adapter.advance(one.state)
        assert (step.stage, step.tx_id) == (TxStage.INCLUDED, one.tx_id)
        assert (await finish(adapter, node.anvil, one.state)).stage is TxStage.FINAL


async def test_a_spike_of_the_base_fee_is_followed_and_included_within_three_blocks(
    node: Chain, proxies: list[Proxy]
) -> None:
    """Every attempt is remembered: whichever is included ends the transaction."""
    async with adapter_over(node, proxies, key=6) as adapter:
        await until_height(adapter, await height(node.anvil))
        one = await built(adapter)
        state, attempts, blocks = one.state, {one.tx_id}, 0
        for raw in (await adapter.advance(state)).send:
            await adapter.broadcast(raw)
        for price in (60, 150, 400):
            for _ in range(3):  # so long that the newest attempt counts as stuck
                await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(price * GWEI))
                await seen(node, adapter, 1)
            step = await adapter.advance(state)
            state = step.state
            attempts.add(step.tx_id)
            for raw in step.send:
                await adapter.broadcast(raw)
        assert len(attempts) == 4
        while (step := await adapter.advance(state)).stage is not TxStage.INCLUDED:
            await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(400 * GWEI))
            await seen(node, adapter, 1)
            blocks += 1
        assert blocks <= 3
        assert step.tx_id in attempts
        end = await finish(adapter, node.anvil, state)
        assert (end.stage, end.tx_id) == (TxStage.FINAL, step.tx_id)
        await node.anvil.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        await seen(node, adapter, 1)
