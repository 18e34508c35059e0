"""An EVM chain: web3 and the hub's ABI."""

from typing import Any

from support import client
from support.client import Client, Question
from support.worlds.base import CALLBACK_GAS, TTL, Chain, Delivered, Settled

__all__ = ["EvmChain"]

FEE = 2 * 10**16


class EvmChain(Chain):
    """`support.client` of one chain."""

    def __init__(self, shown: dict[str, Any], payer: str) -> None:
        super().__init__(shown, payer)
        self.chain = client.Chain(shown)
        self.client = Client([self.chain])

    @property
    def requester(self) -> bytes:
        return bytes.fromhex(self.chain.user.address[2:]).rjust(32, b"\0")

    async def close(self) -> None:
        await self.chain.web3.provider.disconnect()

    async def ask(self, payload: bytes, dest: str, callback: bytes) -> bytes:
        gas = CALLBACK_GAS if any(callback) else 0
        question = Question(
            payload, dest=dest, callback=callback, callback_gas=gas, fee=FEE, ttl=TTL
        )
        (asked,) = await self.client.ask_all([question])
        return asked.id

    async def deliveries(self, intent_id: bytes) -> list[Delivered]:
        found = await self.chain.events("Delivered", intent_id)
        return [
            Delivered(each["status"], each["outputHash"], each["evidenceHash"]) for each in found
        ]

    async def settlements(self, intent_id: bytes) -> list[Settled]:
        found = await self.chain.events("Settled", intent_id)
        return [Settled(each["status"], each["fee"]) for each in found]

    async def outlive(self) -> None:
        raise AssertionError("transactions of this chain have no end")

    async def sent(self) -> int:
        return await self.chain.sent(self.payer)
