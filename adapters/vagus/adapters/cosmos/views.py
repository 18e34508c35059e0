"""The hub's queries, read in the state after a block that is named by its height.

A committed block is final, so its height names one state for ever, and endpoints are compared to
the byte. The contract itself answers (a smart query): its storage could be read raw and with a proof
against the next block's app hash, which only a light client of the chain would be able to check.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vagus.adapters.base import Block, Delivery, IntentState
from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.errors import QueryError, expected_prefix
from vagus.adapters.cosmos.protos import (
    QuerySmartContractStateRequest,
    QuerySmartContractStateResponse,
)
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.protocol import Halt, hub_id

__all__ = ["HubViews"]

T = TypeVar("T")

_PATH = "/cosmwasm.wasm.v1.Query/SmartContractState"
_MAX_KEPT = 4


@dataclass(frozen=True)
class _Elsewhere:
    """The answer of a chain whose addresses have another bech32 prefix than the hub's."""

    prefix: str


class HubViews:
    """The queries of one hub."""

    def __init__(self, quorum: Quorum[Rpc], config: CosmosConfig) -> None:
        self._quorum = quorum
        self._chain = config.id
        self._address = config.account.address
        self._hub_id = hub_id(str(config.account))
        self._denom = config.fee_denom
        # The newest configurations by height: several readers want those of one block.
        self._kept: dict[int, hub.HubConfig] = {}

    async def config(self, block: Block) -> hub.HubConfig:
        """Read the hub's configuration. Raises `Halt` if the contract is another hub."""
        if (kept := self._kept.get(block.height)) is not None:
            return kept
        config = await self._read(hub.CONFIG, hub.decode_config, block)
        if config.hub_id != self._hub_id:
            raise Halt(self._chain, f"the contract {self._address} is another hub")
        if self._denom and config.fee_denom != self._denom:
            raise Halt(
                self._chain,
                f"fee_denom is {self._denom}, and the hub takes another coin as its fee",
            )
        while len(self._kept) >= _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[block.height] = config
        return config

    async def committee(self, block: Block) -> hub.Committee:
        """Read the signer sets that count."""
        return await self._read(hub.COMMITTEE, hub.decode_committee, block)

    async def intent_state(self, intent_id: bytes, block: Block) -> IntentState:
        """Read what became of an intent that was asked here."""
        return await self._read(hub.encode_state_of(intent_id), hub.decode_intent_state, block)

    async def delivery(self, intent_id: bytes, block: Block) -> Delivery | None:
        """Read what was delivered here."""
        return await self._read(hub.encode_delivery_of(intent_id), hub.decode_delivery, block)

    async def credit(self, account: bytes, block: Block) -> int:
        """Read what a packed address can withdraw, in the fee's smallest unit."""
        return await self._read(hub.encode_credit_of(account), hub.decode_credit, block)

    async def requests(self, first: int, block: Block) -> list[hub.Place]:
        """Read a page of where requests stand, from a seq on."""
        return await self._read(
            hub.encode_requests_from(first), lambda data: hub.decode_places(data, first), block
        )

    async def _read(self, query: bytes, decode: Callable[[bytes], T], block: Block) -> T:
        request = QuerySmartContractStateRequest(address=self._address, query_data=query)

        async def ask(rpc: Rpc) -> T | _Elsewhere:
            try:
                found = await rpc.query(
                    _PATH, request, QuerySmartContractStateResponse, block.height
                )
            except QueryError as error:
                if (prefix := expected_prefix(error.log)) is None:
                    raise
                return _Elsewhere(prefix)  # an answer: one endpoint alone halts nothing
            try:
                return decode(found.data)
            except ValueError as error:
                raise BadAnswer(f"{rpc.name}: the hub's answer: {error}") from None

        found = await self._quorum.agree(ask, "the hub's state", fixed=True)
        if isinstance(found, _Elsewhere):
            raise Halt(
                self._chain,
                f"the hub's address {self._address} is of another chain: here they begin with "
                f"{found.prefix}1",
            )
        return found
