"""What a delivery's transaction on a real node shows, and what hides it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from web3 import Web3

from support.evm import SIGNER, Chain, chain, height, question, send, until_height
from vagus.adapters.base import Call
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.artifacts import artifact
from vagus.protocol import (
    ZERO32,
    Attestation,
    Intent,
    Refuse,
    keccak256,
    sign,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_delivered"),
]

OUTPUT = b"Paris, since 987"
# Sends its calldata on to the address behind `73`, and fails where that fails.
FORWARDER = "366000600037600060003660006000{hub}5af1602d57600080fd5b00"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    async with chain() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def adapter(node: Chain) -> AsyncIterator[EvmAdapter]:
    async with node.adapter() as found:
        await until_height(found, await height(node.anvil))
        yield found


async def asked(adapter: EvmAdapter, node: Chain) -> Intent:
    step = await send(adapter, node.anvil, adapter.request_call(question(adapter)))
    return (await adapter.requested(step.tx_id))[0].intent


async def delivery(adapter: EvmAdapter, intent: Intent) -> Call:
    epoch = (await adapter.hub_state()).current.epoch
    word = keccak256(b"word")
    attestation = Attestation(
        *(intent.id, intent.origin_hub, 0, keccak256(OUTPUT), word, ZERO32, word),
        epoch,
        intent.deadline,
    )
    signatures = [sign(attestation.digest(adapter.hub_id), SIGNER)]
    return adapter.deliver_call(intent, attestation, OUTPUT, signatures)


async def test_it_is_found_by_its_time_and_reads_as_eth_abi_reads_it(
    adapter: EvmAdapter, node: Chain
) -> None:
    intent = await asked(adapter, node)
    assert await adapter.delivered(intent.id) is None
    step = await send(adapter, node.anvil, await delivery(adapter, intent))
    found = await adapter.delivered(intent.id)
    assert found is not None
    assert found == await adapter.delivered(intent.id, step.tx_id)
    web3 = Web3(Web3.HTTPProvider(node.anvil.rpc))
    transaction: Any = web3.eth.get_transaction(found.tx_id)  # type: ignore[arg-type]
    assert (found.tx_id, found.height) == (step.tx_id, transaction["blockNumber"])
    [abi] = [each for each in artifact("hub")["abi"] if each.get("name") == "deliver"]
    called = web3.eth.contract(abi=[abi]).decode_function_input(transaction["input"])[1]
    assert found.intent.seq == called["intent"]["seq"]
    assert found.intent.payload_hash == called["intent"]["payloadHash"]
    assert found.attestation.expiry == called["attestation"]["expiry"]
    assert found.attestation.evidence_hash == called["attestation"]["evidenceHash"]
    assert (found.output, list(found.signatures)) == (called["output"], called["signatures"])


async def test_a_transaction_that_delivered_something_else_is_refused(
    adapter: EvmAdapter, node: Chain
) -> None:
    first, second = await asked(adapter, node), await asked(adapter, node)
    await send(adapter, node.anvil, await delivery(adapter, first))
    other = await send(adapter, node.anvil, await delivery(adapter, second))
    with pytest.raises(Refuse, match=f"{other.tx_id} did not deliver this intent"):
        await adapter.delivered(first.id, other.tx_id)
    with pytest.raises(Refuse, match="'0xabc' is no transaction's id"):
        await adapter.delivered(first.id, "0xabc")


async def test_what_another_contract_delivered_is_not_in_the_calldata(
    adapter: EvmAdapter, node: Chain
) -> None:
    web3: Any = Web3(Web3.HTTPProvider(node.anvil.rpc))
    sender = web3.eth.accounts[5]
    runtime = bytes.fromhex(FORWARDER.format(hub="73" + node.hub.account.split(":")[2][2:]))
    # Returns what stands behind its first twelve bytes.
    creation = bytes.fromhex(f"60{len(runtime):02x}600c60003960{len(runtime):02x}6000f3") + runtime
    made = web3.eth.send_transaction({"from": sender, "data": creation, "gas": 1_000_000})
    await node.anvil.mine(1)
    forwarder = web3.eth.get_transaction_receipt(made)["contractAddress"]
    intent = await asked(adapter, node)
    call = await delivery(adapter, intent)
    sent = web3.eth.send_transaction(
        {"from": sender, "to": forwarder, "data": call.data, "gas": 1_000_000}
    )
    await node.anvil.mine(5)
    receipt = web3.eth.get_transaction_receipt(sent)
    assert receipt["status"] == 1
    await until_height(adapter, receipt["blockNumber"], final=True)
    assert await adapter.delivery(intent.id) is not None
    with pytest.raises(Refuse, match=f"0x{sent.hex()} delivered by way of another contract"):
        await adapter.delivered(intent.id)
