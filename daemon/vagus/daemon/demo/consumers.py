"""The contracts that the demo's answers go to: the example consumer, and one that reverts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coincurve import PrivateKey
from web3 import AsyncHTTPProvider, AsyncWeb3

from vagus.adapters.base import Call
from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.deploy import deploy_contract
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.client import send
from vagus.protocol import Account, agent_id, keccak256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.devnet import DevChain

__all__ = ["Consumers", "answer_of", "deploy_consumers"]


@dataclass(frozen=True)
class Consumers:
    """Packed addresses: a consumer on each chain, and on the second one a reverter."""

    answer: tuple[bytes, bytes]
    reverter: bytes


async def deploy_consumers(
    chains: Sequence[DevChain], adapters: Sequence[ChainAdapter]
) -> Consumers:
    """Deploy them from the requester's account, which the consumers then trust on every chain."""
    wallets = [Wallet(PrivateKey(bytes.fromhex(chain.private_key[2:]))) for chain in chains]
    found = []
    for chain, wallet in zip(chains, wallets, strict=True):
        hub = Account.parse(chain.hub).address
        done = await deploy_contract(chain.anvil.rpc, wallet, "consumer", hub, agent_id("chat@1"))
        found.append(done.address.rjust(32, b"\0"))
    for consumer, adapter in zip(found, adapters, strict=True):
        for origin in adapters:
            await send(adapter, _allow(consumer, origin.hub_id, origin.account))
    done = await deploy_contract(chains[1].anvil.rpc, wallets[1], "reverter")
    return Consumers((found[0], found[1]), done.address.rjust(32, b"\0"))


async def answer_of(rpc: str, consumer: bytes, intent_id: bytes) -> bytes | None:
    """Return the answer that a consumer has stored, None where it has none."""
    web3 = AsyncWeb3(AsyncHTTPProvider(rpc))
    address = AsyncWeb3.to_checksum_address(consumer[12:])
    contract = web3.eth.contract(address=address, abi=artifact("consumer")["abi"])
    try:
        answered, _, output = await contract.functions.answers(intent_id).call()
    finally:
        await web3.provider.disconnect()
    return bytes(output) if answered else None


def _allow(consumer: bytes, origin_hub: bytes, requester: bytes) -> Call:
    selector = keccak256(b"allow(bytes32,bytes32,bool)")[:4]
    data = selector + origin_hub + requester + (1).to_bytes(32, "big")
    return Call("0x" + consumer[12:].hex(), data)
