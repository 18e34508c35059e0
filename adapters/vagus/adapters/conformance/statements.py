"""What a committee of one says, signed by the kit's key: attestations, receipts, rotations."""

from __future__ import annotations

from collections.abc import Sequence

from vagus.adapters.base import Call, ChainAdapter
from vagus.adapters.conformance.harness import SIGNER
from vagus.protocol import (
    ZERO32,
    Attestation,
    Intent,
    Payout,
    Receipt,
    Rotation,
    address_of,
    keccak256,
    payouts_hash,
    sign,
    signers_hash,
)

__all__ = ["EVIDENCE", "delivering", "rotating", "settling"]

EVIDENCE = keccak256(b"what shows that the answer is right")
_AGENT = keccak256(b"what ran")
_DAY = 86_400


async def delivering(adapter: ChainAdapter, intent: Intent, output: bytes) -> Call:
    """Return the delivery of an output, signed for the adapter's hub and its epoch."""
    attestation = Attestation(
        intent_id=intent.id,
        origin_hub=intent.origin_hub,
        status=0,
        output_hash=keccak256(output),
        agent_digest=_AGENT,
        model_digest=ZERO32,
        evidence_hash=EVIDENCE,
        epoch=(await adapter.hub_state()).current.epoch,
        expiry=intent.deadline,
    )
    signature = sign(attestation.digest(adapter.hub_id), SIGNER)
    return adapter.deliver_call(intent, attestation, output, [signature])


async def settling(adapter: ChainAdapter, intent: Intent, payouts: Sequence[Payout]) -> Call:
    """Return the settlement of an intent with these payouts."""
    receipt = Receipt(
        intent_id=intent.id,
        dest_hub=intent.dest_hub,
        status=0,
        payouts_hash=payouts_hash(payouts),
        fee=sum(payout.amount for payout in payouts),
        epoch=(await adapter.hub_state()).current.epoch,
        expiry=intent.deadline + _DAY,
    )
    return adapter.settle_call(receipt, payouts, [sign(receipt.digest(adapter.hub_id), SIGNER)])


async def rotating(adapter: ChainAdapter) -> tuple[Rotation, Call]:
    """Return the next epoch, of the same set, and the call that installs it."""
    state = await adapter.hub_state()
    signers = (address_of(SIGNER),)
    rotation = Rotation(
        epoch=state.current.epoch + 1,
        signers_hash=signers_hash(signers),
        threshold=1,
        valid_from=state.at.time,
        roster_hash=keccak256(b"a roster"),
    )
    signature = sign(rotation.digest(adapter.hub_id), SIGNER)
    return rotation, adapter.rotate_call(rotation, signers, [signature])
