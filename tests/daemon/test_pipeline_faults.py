"""What a node does about errors and restarts: the class decides, and nothing happens twice."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.pipelines import Node, Pauses
from support.scripted import GOOD, Request, Scripted, response, sending
from vagus.adapters.base import IntentState, Rejected, TxStage
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.records import IntentRecord, Kind, Stage
from vagus.daemon.pipeline import STUCK
from vagus.protocol import Halt, Refuse, Retry, SignerSet, Status

WHOLE = [stage for stage in Stage if stage <= Stage.SETTLED]
CARRIED = [stage for stage in WHOLE if not stage.ended]


async def settled_once(node: Node, record: IntentRecord) -> None:
    read = await node.journal.intent(record.id)
    assert read is not None
    assert (read.stage, read.status) == (Stage.SETTLED, Status.FULFILLED)
    assert await node.stages(record) == WHOLE
    assert (node.a.transactions, node.b.transactions) == (1, 1)


@pytest.mark.parametrize(
    ("chain", "method"),
    [
        ("a", "intent_state"),
        ("b", "hub_state"),
        ("b", "estimate"),
        ("b", "open_lane"),
        ("b", "advance"),
        ("b", "broadcast"),
        ("b", "delivery"),
        ("a", "hub_state"),
        ("a", "estimate"),
        ("a", "open_lane"),
        ("a", "advance"),
        ("a", "broadcast"),
    ],
)
async def test_a_passing_fault_of_a_chain_is_waited_out(
    node: Node, pauses: Pauses, chain: str, method: str
) -> None:
    faults = [Retry("no answer", after=0.5), Retry("no answer", after=0.5)]
    getattr(node, chain).faults[method] = faults
    record = await node.ask()
    await node.carry(record)
    await settled_once(node, record)
    assert faults == []
    assert pauses == [0.5, 1.0]


async def test_a_transaction_whose_final_block_is_gone_is_sent_again_and_no_other_one(
    node: Node, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would leave the first one's nonce unused, and all behind it waiting."""
    for chain, read, hidden in (
        (node.b, "delivery", None),
        (node.a, "intent_state", IntentState.OPEN),
    ):
        shown = getattr(chain, read)
        looks = iter([False] if read == "delivery" else [True, False])

        async def look(
            intent_id: bytes, shown: Any = shown, hidden: Any = hidden, looks: Any = looks
        ) -> Any:
            return await shown(intent_id) if next(looks, True) else hidden

        monkeypatch.setattr(chain, read, look)
    record = await node.ask()
    await node.carry(record)
    await settled_once(node, record)
    assert pauses == [1.0, 1.0]


async def test_a_long_fault_is_said_now_and_then_and_asked_ever_more_seldom(
    node: Node, pauses: Pauses
) -> None:
    node.b.faults["hub_state"] = [Retry("no answer", after=2.0) for _ in range(12)]
    record = await node.ask()
    with capture_logs() as logs:
        await node.carry(record)
    assert pauses == [2.0, 4.0, 8.0, 16.0, *[30.0] * 8]
    assert [each["event"] for each in logs] == ["waiting", "waiting", "ended"]


async def test_a_model_that_fails_and_comes_back_answers(node: Node, model: Scripted) -> None:
    async def script(request: Request) -> None:
        down = len(model.requests) < 3
        answer = response(b"{}", status="503 Service Unavailable") if down else response(GOOD)
        await sending(answer)(request)

    model.script = script
    record = await node.ask()
    await node.carry(record)
    await settled_once(node, record)
    assert len(model.requests) == 3


async def test_a_halted_chain_stops_its_intents_and_loses_none(node: Node) -> None:
    record, other = await node.ask(), await node.ask()
    node.b.faults["estimate"] = [Halt("eip155:31338", "a final block changed")]
    with capture_logs() as logs:
        await node.carry(record)
    line = logs[0]
    assert (line["event"], line["log_level"]) == ("chain halted", "error")
    assert (line["chain"], line["reason"]) == ("eip155:31338", "a final block changed")
    assert "vagus resume eip155:31338" in line["todo"]
    assert record.stage == Stage.ATTESTED
    assert "halted: a final block changed" in node.network.faults[node.b.hub]
    with capture_logs() as logs:
        await node.carry(other)
    assert [each["event"] for each in logs] == ["waiting for its chain"]
    assert other.stage == Stage.FINAL
    assert [each.id for each in await node.journal.unfinished()] == [record.id, other.id]
    assert (node.a.transactions, node.b.transactions) == (0, 0)


async def test_nothing_is_signed_for_an_intent_whose_origin_is_halted(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.EXECUTED)
    await node.network.halt(Halt(node.a.chain, "a final block changed"))
    await node.carry(record)
    read = await node.journal.intent(record.id)
    assert read is not None
    assert (read.stage, read.signatures) == (Stage.EXECUTED, ())


async def test_a_defect_in_one_intent_is_logged_once_and_tried_again(
    node: Node, pauses: Pauses
) -> None:
    node.b.faults["delivery"] = [KeyError("a defect")]
    record = await node.ask()
    with capture_logs() as logs:
        await node.carry(record)
    assert [each["event"] for each in logs] == ["stuck: a defect of this node", "ended"]
    assert logs[0]["exc_info"]
    assert pauses == [STUCK]
    await settled_once(node, record)


async def test_a_refusal_after_the_outcome_waits_for_a_person(node: Node, pauses: Pauses) -> None:
    node.b.faults["estimate"] = [Refuse("no keystore in the configuration")]
    record = await node.ask()
    with capture_logs() as logs:
        await node.carry(record)
    assert logs[0]["event"] == "stuck: the config forbids what was decided"
    assert logs[0]["reason"] == "no keystore in the configuration"
    assert pauses == [STUCK]
    await settled_once(node, record)


async def test_a_node_outside_the_set_waits_for_a_rotation(node: Node, pauses: Pauses) -> None:
    node.b.changes["current"] = SignerSet(1, (b"\x01" * 20,), 1)
    pauses.then = lambda: (node.b.changes.clear(), node.b.pass_time(1))[0]
    record = await node.ask()
    await node.carry(record)
    await settled_once(node, record)
    assert pauses == [30.0]


async def test_a_rotation_between_outcome_and_signature_signs_for_the_new_epoch(
    node: Node,
) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.EXECUTED)
    current = (await node.b.hub_state()).current
    node.b.changes["current"] = SignerSet(2, current.signers, 1)
    node.b.pass_time(1)
    await node.carry(record)
    assert record.attestation is not None
    assert record.attestation.epoch == 2
    read = await node.journal.intent(record.id)
    assert read is not None
    assert read.attestation == record.attestation


async def test_a_rejected_delivery_is_tried_until_its_deadline(node: Node, pauses: Pauses) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.faults["estimate"] = [Rejected("no quorum") for _ in range(50)]
    pauses.then = lambda: node.b.pass_time(60)
    await node.carry(record)
    assert record.stage == Stage.LEFT
    assert record.reason.startswith("not delivered by its deadline")
    assert node.b.transactions == 0


@pytest.mark.parametrize("stage", CARRIED)
async def test_an_intent_is_resumed_from_any_stage_and_nothing_is_sent_twice(
    node: Node, stage: Stage
) -> None:
    record = await node.ask()
    await node.carry_to(record, stage)
    async with node.start():
        [resumed] = await node.journal.unfinished()
        assert resumed.stage == stage
        await node.carry(resumed)
        await settled_once(node, record)


@pytest.mark.parametrize(
    ("stage", "chain"), [(Stage.SUBMITTED, "b"), (Stage.SETTLING, "a")], ids=["deliver", "settle"]
)
async def test_a_transaction_that_was_broadcast_before_a_crash_is_not_sent_as_another(
    node: Node, stage: Stage, chain: str
) -> None:
    record = await node.ask()
    await node.carry_to(record, stage)
    assert record.tx is not None
    await getattr(node, chain).broadcast(record.tx.state[32:])
    async with node.start():
        [resumed] = await node.journal.unfinished()
        await node.carry(resumed)
        await settled_once(node, record)
        kind = Kind.DELIVER if chain == "b" else Kind.SETTLE
        tx = await node.journal.newest_tx(record.id, kind)
        assert tx is not None
        assert (tx.key, tx.stage) == (record.tx.key, TxStage.FINAL)


async def test_an_outcome_that_was_journalled_is_never_asked_for_again(
    node: Node, model: Scripted
) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.EXECUTED)
    model.script = sending(response(GOOD | {"choices": []}))
    async with node.start():
        [resumed] = await node.journal.unfinished()
        await node.carry(resumed)
    assert resumed.output == b"Paris"
    assert len(model.requests) == 1


async def test_many_intents_have_nonces_without_a_hole(node: Node) -> None:
    records = [await node.ask() for _ in range(30)]
    await asyncio.gather(*(node.carry(record) for record in records))
    assert {record.stage for record in records} == {Stage.SETTLED}
    assert (node.a.transactions, node.b.transactions) == (30, 30)


async def test_a_nonce_whose_record_could_not_be_written_is_used_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, calls = type(node.journal).submit, 0

    def sometimes(self: Journal, *args: Any, **changes: Any) -> Awaitable[Any]:
        nonlocal calls
        calls += 1
        if calls % 7 == 3:
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(Retry("the journal cannot be written"))
            return failed
        return written(self, *args, **changes)  # type: ignore[arg-type]

    monkeypatch.setattr(type(node.journal), "submit", sometimes)
    records = [await node.ask() for _ in range(30)]
    await asyncio.gather(*(node.carry(record) for record in records))
    # The chain takes no nonce but the next one, so that none was skipped and none used twice.
    assert (node.a.transactions, node.b.transactions) == (30, 30)
    assert calls > 60
