"""Which of a destination's sets decides an intent, while one gives way to the next."""

import pytest

from support.chain import NOW
from support.pipelines import Node
from support.scripted import Scripted
from vagus.adapters.base import CallbackState, Delivery
from vagus.daemon.journal.records import Stage
from vagus.protocol import Retry, SignerSet, Status, address_of, verify_quorum

GRACE = 100


def rotate(node: Node, at: int) -> None:
    """Have the destination's set 1 give way to set 2 at that time; this node is in both."""
    signers = (address_of(node.key),)
    roster = node.pipeline._rosters.own.digest()
    node.network.sets[node.b.hub_id, 1] = roster
    node.b.changes = {
        "roster_hash": roster,
        "previous": SignerSet(1, signers, 1),
        "current": SignerSet(2, signers, 1),
        "previous_until": at + GRACE,
        "grace": GRACE,
    }


async def test_what_was_asked_before_a_rotation_is_decided_by_the_set_of_then(node: Node) -> None:
    rotate(node, NOW + 5)
    node.b.pass_time(10)
    record = await node.ask()
    await node.carry(record)
    assert (record.stage, record.epoch) == (Stage.SETTLED, 1)
    assert record.attestation is not None
    assert record.attestation.epoch == 1


async def test_what_was_asked_after_a_rotation_is_decided_by_the_new_set(node: Node) -> None:
    rotate(node, NOW - 5)
    record = await node.ask()
    await node.carry(record)
    assert (record.stage, record.epoch) == (Stage.SETTLED, 2)


async def test_a_destination_that_is_behind_the_request_is_waited_for(node: Node) -> None:
    rotate(node, NOW - 5)
    node.a.pass_time(20)
    record = await node.ask()
    record.height = node.a.heads.final.height
    with pytest.raises(Retry, match="20 s older than the request"):
        await node.carry_to(record, Stage.ROUTED)
    node.b.pass_time(20)
    await node.carry(record)
    assert (record.stage, record.epoch) == (Stage.SETTLED, 2)


async def test_without_a_set_that_gives_way_no_block_is_asked_for(node: Node) -> None:
    node.a.faults["block"].append(AssertionError("asked for a block"))
    record = await node.ask()
    await node.carry(record)
    rotate(node, NOW - GRACE - 1)
    node.b.pass_time(1)
    again = await node.ask()
    await node.carry(again)
    assert (record.epoch, again.epoch) == (1, 2)
    assert node.a.faults["block"]


@pytest.mark.parametrize("stage", [Stage.EXECUTED, Stage.ATTESTED])
async def test_what_a_set_decided_and_did_not_deliver_in_its_grace_the_next_one_decides_anew(
    node: Node, model: Scripted, stage: Stage
) -> None:
    rotate(node, NOW + 5)
    node.b.pass_time(10)
    record = await node.ask()
    await node.carry_to(record, stage)
    assert record.epoch == 1
    decided, output = record.attestation, record.output
    node.b.pass_time(GRACE)
    await node.carry(record)
    assert (record.stage, record.status, record.epoch) == (Stage.SETTLED, Status.FULFILLED, 2)
    assert record.attestation is not None
    assert decided is not None
    assert (record.output, record.attestation.evidence_hash) == (output, decided.evidence_hash)
    signers = (address_of(node.key),)
    verify_quorum(record.attestation.digest(node.b.hub_id), record.signatures, signers, 1)
    # The answer of then stands: the model was not asked again.
    assert len(model.requests) == 1
    notes = [each.note for each in await node.journal.history(record.id)]
    assert "epoch 1 counts no more: epoch 2 decides" in notes
    assert node.b.transactions == 1


async def test_a_set_whose_roster_is_not_here_is_paid_by_nobody_here(node: Node) -> None:
    rotate(node, NOW + 5)
    node.b.pass_time(10)
    node.network.sets[node.b.hub_id, 1] = b"another".ljust(32)
    record = await node.ask()
    with pytest.raises(Retry, match="the roster of the hub's epoch 1 is not here"):
        await node.carry_to(record, Stage.CONFIRMED)
    assert record.payouts == ()


async def test_what_was_delivered_in_the_last_moment_of_a_grace_is_not_decided_anew(
    node: Node,
) -> None:
    rotate(node, NOW + 5)
    node.b.pass_time(10)
    record = await node.ask()
    await node.carry_to(record, Stage.EXECUTED)
    decided = record.attestation
    assert decided is not None
    node.b.delivered_by_others[record.id] = Delivery(
        output_hash=decided.output_hash,
        status=decided.status,
        evidence_hash=decided.evidence_hash,
        epoch=1,
        signers=1,
        deliverer=bytes(12) + b"\x66" * 20,
        time=NOW + 10,
        callback=CallbackState.SUCCEEDED,
    )
    node.b.pass_time(GRACE)
    await node.carry(record)
    assert (record.stage, record.epoch, node.b.transactions) == (Stage.SETTLED, 1, 0)
