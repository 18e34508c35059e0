"""How an intent's life goes, and in which ways it may end."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from eth_account import Account
from structlog.testing import capture_logs

from support.chain import NOW
from support.pipelines import GAS, Node, Pauses
from support.scripted import GOOD, Scripted, response, sending
from vagus.adapters.base import AlreadyDone, CallbackState, Delivery, IntentState, Rejected, TxStage
from vagus.daemon.journal.records import IntentRecord, Kind, Stage
from vagus.protocol import EMPTY_HASH, Payout, Status, keccak256, verify_quorum

WHOLE = [stage for stage in Stage if stage <= Stage.SETTLED]


async def refused(node: Node, record: IntentRecord, reason: str) -> None:
    """Carry an intent and see it refused: settled with no fee, nothing delivered, one line said."""
    with capture_logs() as logs:
        await node.carry(record)
    assert (record.stage, record.status) == (Stage.SETTLED, Status.REFUSED)
    assert reason in record.reason
    assert record.receipt is not None
    assert (record.receipt.fee, record.receipt.payouts_hash) == (0, EMPTY_HASH)
    assert record.payouts == ()
    assert (node.a.transactions, node.b.transactions) == (1, 0)
    [line] = logs
    assert (line["event"], line["log_level"], line["reason"]) == ("ended", "info", record.reason)
    assert "exc_info" not in line
    assert record.reason.isprintable()


async def test_an_intent_is_answered_delivered_and_settled(node: Node) -> None:
    record = await node.ask()
    await node.carry(record)
    assert (record.stage, record.status, record.output) == (
        Stage.SETTLED,
        Status.FULFILLED,
        b"Paris",
    )
    assert await node.stages(record) == WHOLE
    assert (node.a.transactions, node.b.transactions) == (1, 1)
    assert not record.callback_failed


async def test_the_outcome_is_signed_for_the_destination_and_its_evidence_kept(node: Node) -> None:
    record = await node.ask()
    await node.carry(record)
    outcome = record.attestation
    assert outcome is not None
    assert outcome.output_hash == keccak256(b"Paris")
    assert outcome.expiry == record.intent.deadline
    current = (await node.b.hub_state()).current
    assert verify_quorum(outcome.digest(node.b.hub_id), record.signatures, current.signers, 1)
    evidence = await node.journal.evidence(outcome.evidence_hash)
    assert evidence is not None
    assert keccak256(evidence) == outcome.evidence_hash
    assert msgspec.json.decode(evidence)["intent"]["id"] == "0x" + record.id.hex()


async def test_transactions_are_the_accounts_own_and_to_the_hub(node: Node) -> None:
    record = await node.ask()
    await node.carry(record)
    for kind, chain in ((Kind.DELIVER, node.b), (Kind.SETTLE, node.a)):
        tx = await node.journal.newest_tx(record.id, kind)
        assert tx is not None
        assert (tx.stage, tx.lane) == (TxStage.FINAL, chain.lane)
        sender = Account.recover_transaction(tx.state[32:])
        assert bytes.fromhex(sender[2:]) == chain.account[12:]


async def test_the_fee_is_the_delivery_allowance_where_compute_is_free(node: Node) -> None:
    record = await node.ask()
    await node.carry(record)
    assert record.payouts == (Payout(node.a.account, GAS),)
    assert record.receipt is not None
    assert record.receipt.fee == GAS


async def test_a_failed_callback_is_noted_and_paid(node: Node) -> None:
    node.b.callback = CallbackState.FAILED
    record = await node.ask()
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    assert record.callback_failed
    notes = {each.stage: each.note for each in await node.journal.history(record.id)}
    assert notes[Stage.CONFIRMED] == "the callback failed"
    assert record.payouts != ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"agent_id": keccak256(b"nobody@1")}, "no agent 0x"),
        ({"max_fee": GAS - 1}, f"maxFee {GAS - 1} is below this node's cost of {GAS}"),
        ({"model_digest": keccak256(b"m")}, "no backend is left by the pinned model 0x"),
        ({"terms": b'{"color":"red"}'}, "terms are not understood"),
        ({"terms": b'{ "regions":["eu"]}'}, "terms are not in RFC 8785 form"),
        ({"terms": b'{"regions":["eu"]}'}, "no backend is left by the terms' regions"),
        ({"terms": b"\xff"}, "terms are not understood"),
        ({"callback_gas": 2_000_001}, "callbackGas is over the destination's 2000000"),
        ({"min_signers": 2}, "2 signers were asked for, the set has 1"),
        ({"deadline": NOW + 10}, "its deadline leaves no time to answer and deliver"),
        ({"fee_asset": keccak256(b"token")}, "fees are taken in the native coin only"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_the_reason(
    node: Node, model: Scripted, changes: dict[str, object], reason: str
) -> None:
    record = await node.ask(**changes)  # type: ignore[arg-type]
    await refused(node, record, reason)
    assert model.requests == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "the payload is not JSON"),
        (b"{", "the payload is not JSON"),
        (b"null", "the payload is not understood"),
        (b"[]", "the payload is not understood"),
        (b'{"prompt":1}', "the payload is not understood: prompt"),
        (b'{"prompt":""}', "the payload is not understood: prompt"),
        (b'{"prompt":"a","temperature":2}', "the payload is not understood: temperature"),
        (b'{"prompt":"a","prompt":"b"}', "a key occurs twice"),
        (b'{"prompt":NaN}', "NaN is no JSON number"),
        (b'{"prompt":"\xff\xfe"}', "the payload is not UTF-8"),
        (b"\x00" * 100, "the payload is not JSON"),
        (b'{"prompt":"\\ud800"}', "half of a surrogate pair"),
        (b"[" * 8192, "the payload is n"),  # "not JSON" or "nested", as deep as the parser goes
        (b'{"a":' * 33 + b"1" + b"}" * 33, "the payload is nested over 32 levels"),
        (b'{"prompt":"' + b"x" * 8192 + b'"}', "the payload has 8205 bytes"),
    ],
)
async def test_a_payload_of_a_stranger_is_refused_in_one_line(
    node: Node, payload: bytes, reason: str
) -> None:
    await refused(node, await node.ask(payload), reason)


@pytest.mark.parametrize("part", ["payload", "terms"])
async def test_what_is_not_the_intents_is_a_defect_of_the_node_and_never_refused(
    node: Node, pauses: Pauses, part: str
) -> None:
    record = await node.ask()
    setattr(record, part, b"{}")
    pauses.then = asyncio.current_task().cancel  # type: ignore[union-attr]
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await node.carry(record)
    [line] = logs
    assert line["event"] == "stuck: a defect of this node"
    assert (record.stage, record.status) == (Stage.FINAL, None)
    assert (node.a.transactions, node.b.transactions) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(b'{"error":{"message":"too long"}}', status="400 Bad Request"), "HTTP 400"),
        (
            response({**GOOD, "choices": [{"message": {}, "finish_reason": "stop"}]}),
            "the model answered nothing",
        ),
    ],
)
async def test_what_the_model_refuses_is_refused(
    node: Node, model: Scripted, answer: bytes, reason: str
) -> None:
    model.script = sending(answer)
    await refused(node, await node.ask(), reason)


async def test_an_intent_for_a_foreign_hub_is_left_to_its_refund(node: Node) -> None:
    record = await node.ask(dest_hub=keccak256(b"elsewhere"))
    await node.carry(record)
    assert record.stage == Stage.LEFT
    assert record.reason == "its destination is no hub of this network: left to its refund"
    assert (node.a.transactions, node.b.transactions) == (0, 0)


async def test_an_intent_that_no_backend_answers_in_time_has_failed(
    node: Node, model: Scripted, pauses: Pauses
) -> None:
    model.script = sending(response(b"{}", status="503 Service Unavailable"))
    pauses.then = lambda: node.b.pass_time(60)
    record = await node.ask()
    await node.carry(record)
    assert (record.stage, record.status) == (Stage.SETTLED, Status.FAILED)
    assert record.reason == "no backend answered in time"
    assert record.receipt is not None
    assert record.receipt.fee == 0
    assert (node.a.transactions, node.b.transactions) == (1, 0)
    # Asked again with growing pauses, not in a storm: no more than once after each, and not at all
    # while the breaker is open, which closes by the real clock.
    assert 3 <= len(model.requests) <= len(pauses)
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("end", [IntentState.SETTLED, IntentState.REFUNDED])
async def test_an_intent_that_ended_before_it_was_read_is_closed(
    node: Node, end: IntentState
) -> None:
    record = await node.ask()
    node.a.ends[record.id] = end
    await node.carry(record)
    assert record.stage == Stage.CLOSED
    assert record.reason == f"{end.name.lower()} by someone else"
    assert node.a.transactions == 0


def delivery_of(record: IntentRecord, deliverer: bytes) -> Delivery:
    """The decided outcome, delivered by anyone."""
    assert record.attestation is not None
    return Delivery(
        output_hash=record.attestation.output_hash,
        status=record.attestation.status,
        evidence_hash=record.attestation.evidence_hash,
        epoch=1,
        signers=1,
        deliverer=deliverer,
        time=NOW,
        callback=CallbackState.SUCCEEDED,
    )


async def test_a_delivery_by_a_stranger_counts_and_earns_the_stranger_nothing(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.faults["estimate"] = [AlreadyDone("already delivered")]
    node.b.delivered_by_others[record.id] = delivery_of(record, b"\x01" * 32)
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    assert (node.a.transactions, node.b.transactions) == (1, 0)
    assert record.payouts == ()


async def test_a_delivery_that_is_not_final_yet_is_waited_for(node: Node, pauses: Pauses) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.faults["estimate"] = [AlreadyDone("already delivered")] * 3

    def later() -> None:
        if len(pauses) == 2:
            node.b.delivered_by_others[record.id] = delivery_of(record, node.b.account)

    pauses.then = later
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    assert node.b.transactions == 0
    assert record.payouts == (Payout(node.a.account, GAS),)


async def test_another_outcome_on_the_destination_is_never_settled(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.faults["estimate"] = [AlreadyDone("already delivered")]
    other = replace(delivery_of(record, node.b.account), output_hash=keccak256(b"Rome"))
    node.b.delivered_by_others[record.id] = other
    await node.carry(record)
    assert record.stage == Stage.CLOSED
    assert record.reason == "another outcome than this node's stands on the destination"
    assert node.a.transactions == 0


async def test_a_delivery_that_was_overtaken_in_flight_is_settled(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.SUBMITTED)
    node.b.steps = [TxStage.REVERTED]
    node.b.delivered_by_others[record.id] = delivery_of(record, b"\x01" * 32)
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    tx = await node.journal.newest_tx(record.id, Kind.DELIVER)
    assert tx is not None
    assert tx.stage == TxStage.REVERTED


@pytest.mark.parametrize("end", [TxStage.LOST, TxStage.REVERTED])
async def test_a_delivery_that_is_lost_is_sent_again_under_another_nonce(
    node: Node, end: TxStage
) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.SUBMITTED)
    lost = await node.journal.newest_tx(record.id, Kind.DELIVER)
    assert lost is not None
    await node.b.broadcast(lost.state[32:])  # so that its nonce is used, but nothing delivered
    node.b.pass_time(1)
    node.b._delivered.clear()
    node.b.steps = [end]
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    assert node.b.transactions == 2
    newest = await node.journal.newest_tx(record.id, Kind.DELIVER)
    assert newest is not None
    assert newest.key != lost.key


async def test_a_delivery_is_not_sent_after_its_deadline(node: Node, pauses: Pauses) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.pass_time(595)
    pauses.then = lambda: node.b.pass_time(2)
    await node.carry(record)
    assert record.stage == Stage.LEFT
    assert record.reason == "not delivered by its deadline: its deadline is too near"
    assert node.b.transactions == 0


async def test_an_intent_that_was_refunded_meanwhile_is_closed(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.CONFIRMED)
    node.a.faults["estimate"] = [Rejected("intent not open")]
    node.a.ends[record.id] = IntentState.REFUNDED
    await node.carry(record)
    assert (record.stage, record.reason) == (Stage.CLOSED, "refunded by someone else")
    assert node.a.transactions == 0


async def test_a_settlement_that_somebody_else_made_closes_the_intent(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.CONFIRMED)
    node.a.faults["estimate"] = [AlreadyDone("intent not open")]
    node.a.ends[record.id] = IntentState.SETTLED
    await node.carry(record)
    assert (record.stage, record.reason) == (Stage.CLOSED, "settled by someone else")


def told(logs: list[MutableMapping[str, Any]]) -> list[str]:
    """What the log says of keys that are used elsewhere."""
    found = [each for each in logs if each["event"] == "keys used elsewhere"]
    assert all(each["log_level"] == "warning" and "runbook" in each["todo"] for each in found)
    return [each["reason"] for each in found]


async def test_a_delivery_from_the_own_account_that_the_journal_has_not_is_another_nodes(
    node: Node,
) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.ATTESTED)
    node.b.faults["estimate"] = [AlreadyDone("already delivered")]
    node.b.delivered_by_others[record.id] = delivery_of(record, node.b.account)
    with capture_logs() as logs:
        await node.carry(record)
    assert (record.stage, record.elsewhere) == (Stage.SETTLED, "delivery")
    assert told(logs) == [
        "delivered from this node's account, by a transaction that its journal has not"
    ]


@pytest.mark.parametrize("end", [TxStage.LOST, TxStage.REVERTED])
async def test_a_delivery_that_another_of_the_own_account_overtook_is_another_nodes(
    node: Node, end: TxStage
) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.SUBMITTED)
    node.b.steps = [end]
    node.b.delivered_by_others[record.id] = delivery_of(record, node.b.account)
    with capture_logs() as logs:
        await node.carry(record)
    assert (record.elsewhere, len(told(logs))) == ("delivery", 1)


async def test_another_outcome_of_the_own_epoch_is_another_nodes(node: Node) -> None:
    for epoch, seen in ((0, "outcome"), (1, "")):
        record = await node.ask()
        await node.carry_to(record, Stage.ATTESTED)
        node.b.faults["estimate"] = [AlreadyDone("already delivered")]
        ours = delivery_of(record, b"\x01" * 32)
        assert record.attestation is not None
        node.b.delivered_by_others[record.id] = replace(
            ours, output_hash=keccak256(b"Rome"), epoch=record.attestation.epoch + epoch
        )
        with capture_logs() as logs:
            await node.carry(record)
        assert (record.stage, record.elsewhere, len(told(logs))) == (Stage.CLOSED, seen, bool(seen))


async def test_a_settlement_without_a_receipt_of_the_journal_is_another_nodes(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.CONFIRMED)
    node.a.faults["estimate"] = [AlreadyDone("intent not open")]
    node.a.ends[record.id] = IntentState.SETTLED
    with capture_logs() as logs:
        await node.carry(record)
    assert (record.elsewhere, len(told(logs))) == ("settlement", 1)


async def test_a_nonce_that_another_transaction_used_is_told_once_an_intent(node: Node) -> None:
    record = await node.ask()
    await node.carry_to(record, Stage.SUBMITTED)
    lost = await node.journal.newest_tx(record.id, Kind.DELIVER)
    assert lost is not None
    await node.b.broadcast(lost.state[32:])
    node.b.pass_time(1)
    node.b._delivered.clear()
    node.b.steps = [TxStage.LOST]
    with capture_logs() as logs:
        await node.carry(record)
    assert (record.stage, record.elsewhere, len(told(logs))) == (Stage.SETTLED, "nonce", 1)


async def test_what_a_node_and_a_stranger_do_is_not_taken_for_another_node(node: Node) -> None:
    """Its own delivery after a crash, a stranger's with the same signatures, intents of long ago."""
    own, strangers, old = await node.ask(), await node.ask(), await node.ask()
    await node.carry_to(own, Stage.SUBMITTED)
    again = await node.journal.intent(own.id)
    assert again is not None
    await node.carry_to(strangers, Stage.SUBMITTED)
    node.b.steps = [TxStage.FINAL, TxStage.REVERTED]
    node.b.delivered_by_others[own.id] = delivery_of(own, node.b.account)
    node.b.delivered_by_others[strangers.id] = delivery_of(strangers, b"\x01" * 32)
    node.a.ends[old.id] = IntentState.SETTLED
    with capture_logs() as logs:
        for record in (again, strangers, old):
            await node.carry(record)
    assert [each.stage for each in (again, strangers, old)] == [
        Stage.SETTLED,
        Stage.SETTLED,
        Stage.CLOSED,
    ]
    assert told(logs) == []
