"""The callback that follows a delivery: it never takes the delivery back, and is tried once."""

from pathlib import Path

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.puppet import calling
from support.solana_harness import LitesvmHarness
from vagus.adapters.base import AlreadyDone, CallbackState, ChainAdapter, Rejected, TxStage
from vagus.adapters.conformance.driving import final, made, question, ready, submit
from vagus.adapters.conformance.statements import delivering
from vagus.adapters.solana.deploy import deploy_program
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Intent, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_callback"),
]

PUPPET = Path(__file__).parents[1] / "hub/puppet.so"
DEPLOYER = Wallet(keccak256(b"who deploys"))


async def new_puppet(harness: LitesvmHarness, name: str) -> Pubkey:
    """A program that does as the output says ("fail…" fails), on the chain."""
    await harness.net.pace(20)
    done = await deploy_program(harness.node.rpc, DEPLOYER, name, PUPPET.read_bytes())
    await harness.net.pace(0)
    return Pubkey.from_string(done.account.rpartition(":")[2])


async def register(
    harness: LitesvmHarness, puppet: Pubkey, listed: list[tuple[Pubkey, bool]]
) -> None:
    """Let the puppet say which accounts its callback needs."""
    authority, _ = Pubkey.find_program_address([b"vagus"], puppet)
    fields = [{"key": bytes(key), "writable": writable} for key, writable in listed]
    inner = harness.program.call(
        "register",
        {
            "payer": harness.requester.pubkey(),
            "authority": authority,
            "consumer": puppet,
            "registry": harness.program.address(b"registry", bytes(puppet)),
        },
        harness.program.arguments("register", {"accounts": fields}),
    )
    metas = [
        AccountMeta(each.pubkey, each.is_signer and each.pubkey != authority, each.is_writable)
        for each in inner.accounts
    ]
    accounts = [AccountMeta(inner.program_id, False, False), *metas]
    await harness.done(Instruction(puppet, calling(inner.accounts, inner.data), accounts))


async def asked(adapter: ChainAdapter, harness: LitesvmHarness, callback: Pubkey) -> Intent:
    changes: dict[str, object] = {"callback": bytes(callback), "callback_gas": 100_000}
    step = await submit(adapter, harness, adapter.request_call(question(adapter, **changes)))
    (found,) = await adapter.requested(step.tx_id)
    return found.intent


async def outcome(adapter: ChainAdapter, harness: LitesvmHarness, intent: Intent) -> CallbackState:
    await final(adapter, harness)
    delivery = await adapter.delivery(intent.id)
    assert delivery is not None
    return delivery.callback


async def included(harness: LitesvmHarness, adapter: ChainAdapter) -> int:
    key = Pubkey(adapter.account)
    return len((await harness.client.get_signatures_for_address(key, limit=1_000)).value)


@pytest.mark.parametrize("size", [20, 8_192], ids=["short", "longest"])
async def test_a_callback_follows_its_delivery(harness: LitesvmHarness, size: int) -> None:
    """With the accounts that the consumer has registered; staged where its output is long."""
    puppet = await new_puppet(harness, f"puppet {size}")
    await register(harness, puppet, [(Pubkey(b"\x11" * 32), True), (Pubkey(b"\x12" * 32), False)])
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness, puppet)
        before = await included(harness, adapter)
        step = await submit(adapter, harness, await delivering(adapter, intent, b"a" * size))
        assert step.stage is TxStage.FINAL
        assert await outcome(adapter, harness, intent) is CallbackState.SUCCEEDED
        assert await included(harness, adapter) - before == (2 if size == 20 else 23)
        with pytest.raises(AlreadyDone, match="no failed callback"):
            await adapter.estimate(adapter.retry_call(intent, b"a" * size))


async def test_a_callback_that_fails_leaves_the_delivery_as_it_is(harness: LitesvmHarness) -> None:
    """It costs one transaction at most, and may be tried again."""
    puppet = await new_puppet(harness, "failing puppet")
    await register(harness, puppet, [])
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness, puppet)
        step = await submit(adapter, harness, await delivering(adapter, intent, b"fail"))
        assert step.stage is TxStage.FINAL
        assert await outcome(adapter, harness, intent) is CallbackState.FAILED
        # The consumer's own code is not taken for one of the hub's, nor for the system program's.
        with pytest.raises(Rejected, match=f"error 1 of a program: {puppet}"):
            await adapter.estimate(adapter.retry_call(intent, b"fail"))


async def test_a_consumer_that_has_not_registered_is_not_called_until_it_has(
    harness: LitesvmHarness,
) -> None:
    """No transaction is spent on it; a retry after its registration calls it."""
    puppet = await new_puppet(harness, "late puppet")
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness, puppet)
        before = await included(harness, adapter)
        step = await submit(adapter, harness, await delivering(adapter, intent, b"late"))
        assert step.stage is TxStage.FINAL
        assert await outcome(adapter, harness, intent) is CallbackState.FAILED
        assert await included(harness, adapter) - before == 1
        await register(harness, puppet, [])
        await ready(adapter, harness)
        await submit(adapter, harness, adapter.retry_call(intent, b"late"))
        assert await outcome(adapter, harness, intent) is CallbackState.SUCCEEDED
