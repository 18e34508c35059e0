"""A delivery's arguments, read from the message of its own transaction."""

import re
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from vagus.adapters.base import Block
from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.blocks import Event, read_events, read_inclusion, read_transaction
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.contracts import read_contract
from vagus.adapters.cosmos.heads import HeadTracker
from vagus.adapters.cosmos.protos import MsgExecuteContract, TxBody, TxRaw
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.views import HubViews
from vagus.adapters.delivered import Delivered
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.protocol import Attestation, Intent, Refuse

__all__ = ["DeliveryReader", "decode_deliver"]

M = TypeVar("M", Intent, Attestation)

_TX_ID = re.compile(r"[0-9A-F]{64}")
_EXECUTE = "/cosmwasm.wasm.v1.MsgExecuteContract"
# A hub's time is in whole seconds: as many blocks at most are looked at that have the same one.
_SAME_SECOND = 64


class DeliveryReader:
    """Finds deliveries of one hub and reads their messages, by a quorum of endpoints."""

    def __init__(
        self, quorum: Quorum[Rpc], tracker: HeadTracker, views: HubViews, config: CosmosConfig
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._views = views
        self._address = config.account.address

    async def read(self, intent_id: bytes, tx_id: str | None, final: Block) -> Delivered | None:
        """Read a delivery; see `ChainAdapter.delivered`."""
        record = await self._views.delivery(intent_id, final)
        if record is None:
            return None
        if tx_id is None:
            height, tx_id = await self._search(intent_id, record.time, final)
        else:
            height = await self._height(intent_id, tx_id)
        if not tx_id:
            raise Refuse(
                "no transaction delivered this intent, but the chain itself: see its block"
            )
        raw = await self._quorum.agree(
            partial(read_transaction, height=height, tx_id=tx_id), "a transaction", fixed=True
        )
        for called in self._calls(raw):
            try:
                intent, attestation, output, signatures = decode_deliver(called)
            except ValueError:
                continue
            if intent.id == intent_id:
                return Delivered(tx_id, height, intent, attestation, output, signatures)
        raise Refuse(
            f"transaction {tx_id} delivered by way of another contract: what was signed is not in "
            "its messages"
        )

    async def _search(self, intent_id: bytes, time: int, final: Block) -> tuple[int, str]:
        """Find the block by its time, and the delivery in it or in one of the same second."""
        contract = await self._quorum.agree(
            lambda rpc: read_contract(rpc, self._address, final.height), "the hub", fixed=True
        )
        low, high = contract.created, final.height
        while low < high:
            middle = (low + high) // 2
            if (await self._tracker.agreed(middle)).time < time:
                low = middle + 1
            else:
                high = middle
        for height in range(low, min(low + _SAME_SECOND, final.height + 1)):
            block, events = await self._quorum.agree(
                partial(read_events, height=height, kind=hub.DELIVERED), "a block", fixed=True
            )
            for event in events:
                if self._delivers(event, intent_id):
                    return height, event.tx_id
            if block.time > time:
                break
        raise BadAnswer(f"{self._quorum.name}: no delivery is in the blocks of its time")

    async def _height(self, intent_id: bytes, tx_id: str) -> int:
        """Return the height of a transaction that is said to have delivered."""
        if _TX_ID.fullmatch(tx_id) is None:
            raise Refuse(f"{tx_id[:80]!r} is no transaction's id: 64 hex digits in upper case")
        found = await self._quorum.agree(
            lambda rpc: read_inclusion(rpc, tx_id), "a transaction", fixed=True
        )
        if found is None or not any(self._delivers(each, intent_id) for each in found.events):
            raise Refuse(f"transaction {tx_id} did not deliver this intent")
        return found.height

    def _delivers(self, event: Event, intent_id: bytes) -> bool:
        named = ("intent_id", intent_id.hex()) in event.attributes
        return event.type == hub.DELIVERED and event.of(self._address) and named

    def _calls(self, raw: bytes) -> list[bytes]:
        """Return what a transaction's messages say to the hub."""
        try:
            messages = TxBody.FromString(TxRaw.FromString(raw).body_bytes).messages
            calls = [
                MsgExecuteContract.FromString(each.value)
                for each in messages
                if each.type_url == _EXECUTE
            ]
        except DecodeError:
            raise BadAnswer(f"{self._quorum.name}: a transaction that is none") from None
        return [each.msg for each in calls if each.contract == self._address]


class _Arguments(msgspec.Struct):
    intent: dict[str, str]
    attestation: dict[str, str]
    output: str
    signatures: list[str]


class _Call(msgspec.Struct):
    deliver: _Arguments


_decoder = msgspec.json.Decoder(_Call)


def decode_deliver(call: bytes) -> tuple[Intent, Attestation, bytes, tuple[bytes, ...]]:
    """Read the arguments of a call that the hub took; ValueError for another call."""
    try:
        found = _decoder.decode(call).deliver
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)[:200]) from None
    signatures = tuple(bytes.fromhex(each) for each in found.signatures)
    intent, attestation = _message(Intent, found.intent), _message(Attestation, found.attestation)
    return intent, attestation, bytes.fromhex(found.output), signatures


def _message(kind: type[M], values: dict[str, str]) -> M:
    if values.keys() != {field.name for field in fields(kind)}:
        raise ValueError(f"not the fields of an {kind.__name__}")
    read: dict[str, Any] = {
        field.name: (bytes.fromhex if field.type in {"bytes", bytes} else int)(values[field.name])
        for field in fields(kind)
    }
    return kind(**read)
