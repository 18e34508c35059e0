"""What became of a transaction, by a quorum of endpoints.

Unknown counts only from an endpoint that has executed the final slot: whatever holds a transaction whose
blockhash has expired there, it would know.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec

from vagus.adapters.base import Heads
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.blocks import number
from vagus.adapters.solana.errors import failed
from vagus.adapters.solana.rpc import Rpc

__all__ = ["Fate", "fate_of"]


class Fate(enum.Enum):
    """Where a transaction stands: the last three are the end of it."""

    WAITING = enum.auto()
    INCLUDED = enum.auto()
    FINAL = enum.auto()
    FAILED = enum.auto()
    UNKNOWN = enum.auto()


class _Status(msgspec.Struct, rename="camel"):
    slot: int
    err: Any
    confirmation_status: str | None


class _Context(msgspec.Struct):
    slot: int


class _Answer(msgspec.Struct):
    context: _Context
    value: list[_Status | None]


class _Claim(NamedTuple):
    """What one endpoint says: in which slot, whether it succeeded, and whether that is final."""

    slot: int
    success: bool
    final: bool


_answers = msgspec.json.Decoder(_Answer)


async def fate_of(quorum: Quorum[Rpc], signature: str, heads: Heads) -> Fate:
    """Ask what became of a transaction; `heads` were read before."""

    async def ask(rpc: Rpc) -> _Claim | None:
        return await _claim(rpc, signature, heads)

    needed = quorum.needed

    def settled(claims: list[_Claim | None], missing: int) -> bool:
        fate = _decided(claims, needed)
        if fate is Fate.WAITING:
            return False
        finals = sum(claim is not None and claim.final for claim in claims)
        return fate is not Fate.INCLUDED or finals + missing < needed

    return _decided(await quorum.reports(ask, "a transaction's fate", settled), needed)


def _decided(claims: list[_Claim | None], needed: int) -> Fate:
    if claims.count(None) >= needed:
        return Fate.UNKNOWN
    for claim in claims:
        if claim is None:
            continue
        same = [each for each in claims if each is not None and each[:2] == claim[:2]]
        if sum(each.final for each in same) >= needed:
            return Fate.FINAL if claim.success else Fate.FAILED
        if len(same) >= needed:
            return Fate.INCLUDED
    return Fate.WAITING


async def _claim(rpc: Rpc, signature: str, heads: Heads) -> _Claim | None:
    params: list[object] = [[signature], {"searchTransactionHistory": True}]
    found = await rpc.call("getSignatureStatuses", params, _answers)
    try:
        if len(found.value) != 1:
            raise ValueError(f"{len(found.value)} statuses for one signature")
        if number(found.context.slot) < heads.final.height:
            raise ValueError(f"slot {found.context.slot}, below the final one")
        status = found.value[0]
        if status is None or status.confirmation_status not in ("confirmed", "finalized"):
            return None
        final = status.confirmation_status == "finalized"
        slot = number(status.slot)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getSignatureStatuses: {error}") from None
    return _Claim(slot, not failed(status.err), final and slot <= heads.final.height)
