"""Whether the demo's intents ended as they should, as the chains say at finality."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from vagus.adapters.base import IntentState
from vagus.daemon.demo.consumers import answer_of
from vagus.protocol import Status, keccak256

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vagus.adapters.base import ChainAdapter, Delivery
    from vagus.daemon.demo.cases import Case
    from vagus.daemon.demo.consumers import Consumers
    from vagus.daemon.devnet import Devnet

__all__ = ["check"]

T = TypeVar("T")

# Finality is two blocks of a second each; the rest is for a busy machine.
FINAL_SECONDS = 20.0


async def check(
    net: Devnet, adapters: Sequence[ChainAdapter], consumers: Consumers, cases: Sequence[Case]
) -> dict[str, Any]:
    """Return the report, and under `wrong` what did not end as it should."""
    wrong: list[str] = []
    shown: list[dict[str, Any]] = []
    for case in cases:
        status, delivery = await _end(adapters, case)
        if status != case.expected:
            wrong.append(f"{case.title}: ended {status}, and not {case.expected}")
        if delivery is not None:
            wrong += await _answer_faults(net, consumers, case, delivery)
        shown.append(_show(case, status))
    wrong += [fault for adapter in adapters for fault in await _credit_faults(net, adapter, cases)]
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


async def _answer_faults(
    net: Devnet, consumers: Consumers, case: Case, delivery: Delivery
) -> list[str]:
    """Compare the delivered hash with the answer shown, and with what the consumer has stored."""
    output = ((case.seen or {}).get("output") or "").encode()
    faults = []
    if keccak256(output) != delivery.output_hash:
        faults.append(f"{case.title}: the answer shown is not the one delivered")
    if delivery.callback != case.expected_callback:
        faults.append(f"{case.title}: its callback {delivery.callback.name.lower()}")
    if case.asked and case.callback in consumers.answer:
        chain = next(chain for chain in net.chains if chain.hub == case.dest)
        stored = await answer_of(chain.anvil.rpc, case.callback, case.asked.intent.id)
        if stored != output:
            faults.append(f"{case.title}: the consumer has stored another answer")
    return faults


async def _credit_faults(net: Devnet, adapter: ChainAdapter, cases: Sequence[Case]) -> list[str]:
    """Compare what a hub owes with what was escrowed: fees to the node, the rest to the requester."""
    mine = [case for case in cases if net.chains[case.origin].hub == adapter.hub]
    fees = sum(int((case.seen or {}).get("fee") or 0) for case in mine)
    escrowed = sum(case.fee for case in mine)
    owed = (await adapter.credit(net.account), await adapter.credit(adapter.account))
    if owed != (fees, escrowed - fees):
        return [f"{adapter.chain}: owes {owed}, and not {(fees, escrowed - fees)}"]
    return []


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
