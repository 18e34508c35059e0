"""What is logged while an intent is carried says which one, whoever logs it."""

import asyncio
from typing import Any

import pytest
import structlog
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from support.chain import ScriptedChain
from support.pipelines import Node, Pauses
from vagus.daemon.carriers import Carriers
from vagus.daemon.metrics.registry import Metrics
from vagus.protocol import Retry

# As the adapters log: a transaction's events, which know their chain and no intent.
sender = structlog.get_logger("vagus.adapters.sender")
EVENTS = ("transaction at fee cap", "nonce filled", "transaction expired", "call refused")


def telling(chain: ScriptedChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a chain log as it is sent to."""
    advance = chain.advance

    async def told(state: bytes) -> Any:
        for event in EVENTS:
            sender.warning(event, chain=chain.chain)
        sender.info("transaction timed out")
        return await advance(state)

    monkeypatch.setattr(chain, "advance", told)


async def test_every_event_of_a_carried_intent_names_it_and_a_chain(
    node: Node, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling(node.a, monkeypatch)
    telling(node.b, monkeypatch)
    node.b.faults["estimate"] = [Retry("no answer")]
    asked = [await node.ask() for _ in range(3)]
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            carriers = Carriers(group, node.pipeline, Metrics())
            for record in asked:
                await carriers.take(record)
        sender.info("of no intent", chain=node.a.chain)
    *carried, last = logs
    assert last == {"event": "of no intent", "chain": node.a.chain, "log_level": "info"}
    for record in asked:
        own = [each for each in carried if each["intent"] == f"0x{record.id.hex()}"]
        for event in EVENTS:
            assert {each["chain"] for each in own if each["event"] == event} == {
                node.a.chain,
                node.b.chain,
            }
        assert {each["event"] for each in own} >= {"transaction timed out", "ended"}
        assert all(each["chain"] in {node.a.chain, node.b.chain} for each in own)
    assert len({each["intent"] for each in carried}) == len(asked)
    assert [each["event"] for each in carried].count("waiting") == 1
