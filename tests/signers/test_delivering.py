"""Answers delivered on real nodes, with no key in the node: neither the committee's nor the account's."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from pydantic import SecretStr
from solders.pubkey import Pubkey
from solders.signature import Signature

from support.evm import finish, question, send, until_height, wallet
from support.kms_server import KmsServer
from support.softhsm import SoftHsm
from support.solana_harness import FUNDS, LitesvmHarness
from vagus.adapters.base import ChainAdapter, HubParameters, TxStage
from vagus.adapters.conformance.driving import made, ready, submit
from vagus.adapters.conformance.driving import question as solana_question
from vagus.adapters.conformance.statements import delivering
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import Anvil
from vagus.adapters.signers import Guarded, KeyConfig, Scheme, SignedTable, Signer
from vagus.adapters.solana.adapter import SolanaAdapter
from vagus.adapters.solana.config import SolanaConfig
from vagus.daemon.fetch import anvil_path
from vagus.protocol import ZERO32, Attestation, keccak256

_labels = itertools.count()


def kept(where: str, hsm: SoftHsm, kms: KmsServer) -> dict[str, Any]:
    """A new key outside of the node, as a config has it."""
    label = f"kept {next(_labels)}"
    if where == "pkcs11":
        hsm.pair("vagus", label)
        return {"pkcs11": hsm.key("vagus", label)}
    kms.keys[label] = PrivateKey(keccak256(label.encode()))
    return {"kms": kms.key(label)}


async def opened(keys: dict[str, Any], scheme: Scheme = Scheme.SECP256K1) -> Signer:
    signer = await asyncio.to_thread(KeyConfig(**keys).open_key, scheme)
    assert signer is not None
    return signer


@pytest.mark.parametrize("where", ["pkcs11", "kms"])
async def test_an_answer_is_delivered_on_anvil_with_both_keys_outside(
    hsm: SoftHsm, kms: KmsServer, where: str, tmp_path: Path
) -> None:
    committee, account = await opened(kept(where, hsm, kms)), kept(where, hsm, kms)
    payer = (await opened(account)).address
    async with Anvil(anvil_path()) as anvil, SignedTable(tmp_path / "signed.sqlite") as table:
        deployed = await deploy_hub(anvil.rpc, wallet(), HubParameters((committee.address,), 1))
        await anvil.call("evm_setIntervalMining", 0)
        await anvil.call("anvil_setBalance", f"0x{payer.hex()}", hex(10**18))
        await anvil.mine(3)
        config = EvmConfig(
            id=anvil.chain,
            hub=deployed.account,
            rpc=SecretStr(anvil.rpc),  # type: ignore[arg-type]  # one or several
            poll_interval=0.05,
            **account,
        )
        async with await asyncio.to_thread(EvmAdapter, config) as adapter:
            assert adapter.account[12:] == payer
            guarded = Guarded(committee, table, {adapter.hub_id})
            await adapter.next_heads(None)
            asked = await send(adapter, anvil, adapter.request_call(question(adapter, fee=10**12)))
            [found] = await adapter.requested(asked.tx_id)
            statement = Attestation(
                intent_id=found.intent.id,
                origin_hub=adapter.hub_id,
                status=0,
                output_hash=keccak256(b"Paris"),
                agent_digest=b"\1" * 32,
                model_digest=ZERO32,
                evidence_hash=b"\2" * 32,
                epoch=(await adapter.hub_state()).current.epoch,
                expiry=found.intent.deadline,
            )
            signature = await guarded.sign(statement, adapter.hub_id)
            call = adapter.deliver_call(found.intent, statement, b"Paris", [signature])
            # Three under one lane: what a remote key signs later has the later nonce.
            lane, states = await adapter.open_lane(None), []
            for each in (call, *(adapter.request_call(question(adapter)) for _ in range(2))):
                built = await adapter.build(each, await adapter.estimate(each), lane)
                lane = built.lane
                states.append(built.state)
            ends = [await finish(adapter, anvil, state) for state in states]
            assert [end.stage for end in ends] == [TxStage.FINAL] * 3
            delivery = await adapter.delivery(found.intent.id)
            assert delivery is not None
            assert delivery.deliverer[12:] == payer
            await replaced(adapter, anvil)
        raw = await anvil.call("eth_getRawTransactionByHash", ends[0].tx_id)
        assert Account.recover_transaction(raw).lower() == f"0x{payer.hex()}"


async def replaced(adapter: ChainAdapter, anvil: Anvil) -> None:
    """A transaction that is stuck is signed again, dearer, by the same key."""
    call = adapter.request_call(question(adapter))
    built = await adapter.build(call, await adapter.estimate(call), await adapter.open_lane(None))
    height = int(await anvil.call("eth_blockNumber"), 16)
    await anvil.mine(4)  # it was never broadcast: no block has it
    await until_height(adapter, height + 4)
    step = await adapter.advance(built.state)
    assert step.state != built.state
    assert (await finish(adapter, anvil, step.state)).stage is TxStage.FINAL


async def test_an_answer_is_delivered_on_litesvm_from_a_token(hsm: SoftHsm) -> None:
    point = hsm.pair("vagus", "solana", "ed25519")
    payer = Pubkey(point[2:])
    async with LitesvmHarness() as harness:
        await harness.fund(bytes(payer), FUNDS)
        await harness.advance()
        config = SolanaConfig(
            id=harness.chain,
            hub=harness.hub,
            rpc=SecretStr(harness.node.rpc),  # type: ignore[arg-type]  # one or several
            poll_interval=0.05,
            pkcs11=hsm.key("vagus", "solana"),
        )
        async with (
            made(harness) as asking,
            await asyncio.to_thread(SolanaAdapter, config) as adapter,
        ):
            assert adapter.address == str(payer)
            await ready(asking, harness)
            await ready(adapter, harness)
            asked = await submit(asking, harness, asking.request_call(solana_question(asking)))
            [found] = await asking.requested(asked.tx_id)
            # Longer than a transaction: staged over several, each of which the token signs.
            call = await delivering(adapter, found.intent, b"a long answer " * 200)
            ended = await submit(adapter, harness, call)
            assert ended.stage is TxStage.FINAL
            assert await adapter.delivery(found.intent.id) is not None
        shown = await harness.client.get_transaction(
            Signature.from_string(ended.tx_id),
            encoding="base64",
            max_supported_transaction_version=0,
        )
        assert shown.value is not None
        transaction = shown.value.transaction.transaction
        assert transaction.message.account_keys[0] == payer  # type: ignore[union-attr]
        assert transaction.verify_with_results() == [True]  # type: ignore[union-attr]
