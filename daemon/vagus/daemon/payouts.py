"""Who is paid what for an intent: a pure function, which every member computes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.protocol import settlement

if TYPE_CHECKING:
    from vagus.adapters.base import Delivery
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.roster import Roster
    from vagus.protocol import Payout, SignerSet

__all__ = ["payouts"]


def payouts(
    record: IntentRecord,
    origin: str,
    dest: str,
    delivery: Delivery,
    current: SignerSet,
    roster: Roster,
    executor: bytes,
) -> tuple[Payout, ...]:
    """Return it, of the delivery's record and the evidence, by the set and the roster that delivered.

    `origin` and `dest` are chains (CAIP-2), `executor` is the 20-byte signer of who ran it. Raises
    Refuse where the roster has not what is needed.
    """
    deliverer = roster.deliverer(dest, delivery.deliverer)
    signed = [each for at, each in enumerate(current.signers) if delivery.signers >> at & 1]
    if record.fee is None:
        raise RuntimeError(f"intent 0x{record.id.hex()} is {record.stage.name} without a fee")
    _, found = settlement(
        roster.fee(record.fee, origin),
        status=delivery.status,
        max_fee=record.intent.max_fee,
        compute_cost=roster.to_coin(origin, record.cost),
        gas_allowance=roster.allowance(dest, origin),
        executor=roster.member(executor).payee(origin),
        deliverer=deliverer.payee(origin) if deliverer else None,
        signers=[roster.member(each).payee(origin) for each in signed],
    )
    return found
