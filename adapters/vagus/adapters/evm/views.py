"""The hub's views, read at a block that is named by its hash (EIP-1898).

By hash and not by height: every field of an answer is then of one state, a reorg is an error and
not another answer, and endpoints are compared to the byte. There is no way back to
heights: a node without EIP-1898 (all current clients have it) answers with an error.
"""

from collections.abc import Callable
from typing import TypeVar

from vagus.adapters.base import Block, Delivery, IntentState
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm import hub
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.quorum import Quorum
from vagus.protocol import Halt, hub_id

__all__ = ["HubViews", "at_block"]

T = TypeVar("T")

_MAX_KEPT = 4


def at_block(block: Block) -> dict[str, str]:
    """Name a block by its hash, as EIP-1898 does."""
    return {"blockHash": "0x" + block.hash.hex()}


class HubViews:
    """The views of one hub."""

    def __init__(self, quorum: Quorum[Rpc], config: EvmConfig) -> None:
        self._quorum = quorum
        self._chain = config.id
        self._address = config.account.address
        self._hub_id = hub_id(str(config.account))
        # The newest configurations by their block's hash: several readers want those of one block,
        # and where endpoints fail, who comes again needs only what is still missing.
        self._kept: dict[bytes, hub.HubConfig] = {}

    async def config(self, block: Block) -> hub.HubConfig:
        """Read the hub's configuration. Raises `Halt` if the contract is another hub."""
        if (kept := self._kept.get(block.hash)) is not None:
            return kept
        config = await self._read(hub.CONFIG_CALL, hub.decode_config, block)
        if config.hub_id != self._hub_id:
            raise Halt(self._chain, f"the contract {self._address} is another hub")
        while len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[block.hash] = config
        return config

    async def committee(self, block: Block) -> hub.Committee:
        """Read the signer sets that count."""
        return await self._read(hub.COMMITTEE_CALL, hub.decode_committee, block)

    async def intent_state(self, intent_id: bytes, block: Block) -> IntentState:
        """Read what became of an intent that was asked here."""
        return await self._read(hub.encode_state_of(intent_id), hub.decode_intent_state, block)

    async def delivery(self, intent_id: bytes, block: Block) -> Delivery | None:
        """Read what was delivered here."""
        return await self._read(hub.encode_delivery_of(intent_id), hub.decode_delivery, block)

    async def credit(self, account: bytes, block: Block) -> int:
        """Read what a packed address can withdraw, in wei."""
        return await self._read(hub.encode_credit_of(account), hub.decode_credit, block)

    async def _read(self, call: bytes, decode: Callable[[bytes], T], block: Block) -> T:
        request = {"to": self._address, "data": "0x" + call.hex()}
        params: list[object] = [request, at_block(block)]

        async def ask(rpc: Rpc) -> T:
            data = await rpc.data("eth_call", params)
            if not data:
                raise BadAnswer(f"{rpc.name}: no hub at {self._address} in block {block.height}")
            try:
                return decode(data)
            except ValueError as error:
                raise BadAnswer(f"{rpc.name}: the hub's answer: {error}") from None

        return await self._quorum.agree(ask, "the hub's state", fixed=True)
