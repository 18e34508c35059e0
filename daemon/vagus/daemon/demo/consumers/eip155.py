"""The example consumer on an EVM chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coincurve import PrivateKey
from web3 import AsyncHTTPProvider, AsyncWeb3

from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.deploy import deploy_contract
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.demo.consumers.base import Consumer
from vagus.protocol import Account, agent_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.demo.consumers.base import Place

__all__ = ["deploy"]


async def deploy(place: Place, agent: str) -> Consumer:
    """Deploy it and wait until it is included."""
    hub = Account.parse(place.hub).address
    wallet = Wallet(PrivateKey(place.secret))
    done = await deploy_contract(place.rpc, wallet, "consumer", hub, agent_id(agent))
    return _EvmConsumer(place.rpc, place.secret, done.address)


class _EvmConsumer(Consumer):
    def __init__(self, rpc: str, key: bytes, address: bytes) -> None:
        super().__init__(address.rjust(32, b"\0"))
        self._web3 = AsyncWeb3(AsyncHTTPProvider(rpc))
        self._owner = self._web3.eth.account.from_key(key)
        self._contract = self._web3.eth.contract(
            address=AsyncWeb3.to_checksum_address(address), abi=artifact("consumer")["abi"]
        )

    async def allow(self, askers: Sequence[tuple[bytes, bytes]]) -> None:
        owner = self._owner.address
        try:
            for hub, requester in askers:
                call = self._contract.functions.allow(hub, requester, True)
                nonce = await self._web3.eth.get_transaction_count(owner, "pending")
                tx = await call.build_transaction({"from": owner, "nonce": nonce})
                sent = await self._web3.eth.send_raw_transaction(
                    self._owner.sign_transaction(tx).raw_transaction
                )
                await self._web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.1)
        finally:
            await self._web3.provider.disconnect()

    async def answers(self, intent_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        try:
            for intent_id in intent_ids:
                answered, _, output = await self._contract.functions.answers(intent_id).call()
                if answered:
                    found[intent_id] = bytes(output)
        finally:
            await self._web3.provider.disconnect()
        return found
