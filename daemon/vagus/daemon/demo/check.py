"""Whether the demo's intents ended as they should, as the chains say at finality."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from vagus.adapters.base import CallbackState, IntentState
from vagus.protocol import Status, keccak256, recover

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vagus.adapters.base import ChainAdapter, Delivery
    from vagus.daemon.demo.cases import Case
    from vagus.daemon.roster import Roster

__all__ = ["check"]

T = TypeVar("T")

# Finality is two blocks of a second each; the rest is for a busy machine.
FINAL_SECONDS = 20.0


async def check(
    adapters: Sequence[ChainAdapter], roster: Roster, cases: Sequence[Case]
) -> dict[str, Any]:
    """Return the report, and under `wrong` what did not end as it should."""
    wrong: list[str] = []
    shown: list[dict[str, Any]] = []
    for case in cases:
        status, delivery = await _end(adapters, case)
        if status != case.expected:
            wrong.append(f"{case.title}: ended {status}, and not {case.expected}")
        signers: list[str] = []
        if delivery is not None:
            wrong += _delivery_faults(case, delivery)
            signers, faults = await _signers(adapters, case)
            wrong += faults
        shown.append({**_show(case, status), "signers": signers})
    for consumer in {id(case.consumer): case.consumer for case in cases}.values():
        wrong += await _stored_faults([case for case in cases if case.consumer is consumer])
    for at, adapter in enumerate(adapters):
        mine = [case for case in cases if case.origin == at]
        payees = [member.payee(adapter.chain) for member in roster.members]
        wrong += await _credit_faults(adapter, payees, mine)
    ends = [each["status"] for each in shown]
    return {
        "intents": shown,
        "delivered": ends.count("fulfilled"),
        "refused": ends.count("refused"),
        "failed": ends.count("failed"),
        "ok": not wrong,
        "wrong": wrong,
    }


async def _end(adapters: Sequence[ChainAdapter], case: Case) -> tuple[str, Delivery | None]:
    """Return how an intent ended by its two hubs' state at finality, and its delivery."""
    if case.asked is None:
        return "never asked", None
    intent, origin = case.asked.intent, adapters[case.origin]
    ends = {IntentState.SETTLED, IntentState.REFUNDED}
    state = await _final(
        lambda: origin.intent_state(intent.id), lambda found: found in ends, origin
    )
    if state == IntentState.REFUNDED:
        return "refunded", None
    if state != IntentState.SETTLED:
        return state.name.lower(), None
    dest = next(adapter for adapter in adapters if adapter.hub_id == intent.dest_hub)
    delivery = await dest.delivery(intent.id)
    if delivery is not None:
        return Status(delivery.status).name.lower(), delivery
    # Settled and not delivered: refused or failed, which the node's receipt says.
    return (case.seen or {}).get("status") or "settled", None


async def _signers(adapters: Sequence[ChainAdapter], case: Case) -> tuple[list[str], list[str]]:
    """Return who signed a delivery, by its own transaction, and what is wrong with that."""
    if case.asked is None:
        return [], []
    intent = case.asked.intent
    dest = next(adapter for adapter in adapters if adapter.hub_id == intent.dest_hub)
    delivered = await dest.delivered(intent.id, (case.seen or {}).get("deliver_tx"))
    if delivered is None:
        return [], [f"{case.title}: its delivery's transaction is not found"]
    digest = delivered.attestation.digest(dest.hub_id)
    found = [recover(digest, signature) for signature in delivered.signatures]
    members = (await dest.hub_state()).current
    faults = []
    if len(set(found)) < members.threshold or not set(found) <= set(members.signers):
        faults.append(f"{case.title}: its signers are no quorum of the hub's set")
    return ["0x" + signer.hex() for signer in found], faults


async def _final(
    read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], adapter: ChainAdapter
) -> T:
    """Read at each new head until it is as wanted; what was read last once time is over."""
    found, heads = await read(), adapter.heads
    try:
        async with asyncio.timeout(FINAL_SECONDS):
            while not wanted(found):
                heads = await adapter.next_heads(heads)
                found = await read()
    except TimeoutError:
        return found
    return found


def _delivery_faults(case: Case, delivery: Delivery) -> list[str]:
    """Compare the delivered hash with the answer shown."""
    faults = []
    if keccak256(_output(case)) != delivery.output_hash:
        faults.append(f"{case.title}: the answer shown is not the one delivered")
    if delivery.callback != case.expected_callback:
        faults.append(f"{case.title}: its callback {delivery.callback.name.lower()}")
    return faults


async def _stored_faults(cases: Sequence[Case]) -> list[str]:
    """Compare what a consumer has stored with the answers of the intents that it should have taken."""
    consumer = cases[0].consumer
    taken = {
        case.asked.intent.id: case
        for case in cases
        if case.asked is not None
        and case.expected == "fulfilled"
        and case.expected_callback == CallbackState.SUCCEEDED
    }
    asked = [case.asked.intent.id for case in cases if case.asked is not None]
    stored = await consumer.answers(asked)
    faults = [
        f"{case.title}: the consumer has stored another answer"
        for intent_id, case in taken.items()
        if stored.get(intent_id, _output(case)) != _output(case)
    ]
    wanted = len(taken) if consumer.keeps_all else min(len(taken), 1)
    if not stored.keys() <= taken.keys() or len(stored) != wanted:
        faults.append(f"a consumer has {len(stored)} answers, and not {wanted}")
    return faults


async def _credit_faults(
    adapter: ChainAdapter, payees: Sequence[bytes], cases: Sequence[Case]
) -> list[str]:
    """Compare what a hub owes with what was escrowed: fees to the members, the rest to the requester."""
    fees = sum(int((case.seen or {}).get("fee") or 0) for case in cases)
    escrowed = sum(case.fee for case in cases)
    owing = [await adapter.credit(payee) for payee in payees]
    owed = (sum(owing), await adapter.credit(adapter.account))
    if owed != (fees, escrowed - fees):
        return [f"{adapter.chain}: owes {owed}, and not {(fees, escrowed - fees)}"]
    return []


def _output(case: Case) -> bytes:
    return ((case.seen or {}).get("output") or "").encode()


def _show(case: Case, status: str) -> dict[str, Any]:
    seen = case.seen or {}
    return {
        "id": None if case.asked is None else "0x" + case.asked.intent.id.hex(),
        "origin": seen.get("origin"),
        "dest": case.dest,
        "agent": case.agent,
        "status": status,
        "output": seen.get("output"),
        "seconds": round(case.seconds, 2),
        "deliver_tx": seen.get("deliver_tx"),
        "settle_tx": seen.get("settle_tx"),
    }
