"""What the hub logs, and that its logs are told from another program's."""

import base64

from solders.instruction import AccountMeta, Instruction

from support.hub import members, word
from support.hub_solana import SolanaHub, camel
from support.litesvm import LiteChain


def test_every_call_logs_what_it_did(hub: SolanaHub):
    logged = []
    execute = hub.execute

    def kept(instructions, *signers):
        sent = execute(instructions, *signers)
        logged.extend(hub.program.events(sent.logs))
        return sent

    hub.execute = kept
    intent = hub.ask(fee=5000, payload=bytes(3000))
    intent_id = hub.intent_id(intent)
    hub.settle(intent, [(word(hub.carol), 3000)])
    hub.send("withdraw", sender=hub.carol)
    late = hub.ask(deadline=hub.now + 61)
    answered = hub.intent()
    hub.deliver(answered)
    rotation = hub.rotation(members(2, "next"), 2)
    hub.rotate(members(2, "next"), 2, rotation)
    hub.at(late["deadline"] + hub.config["grace"] + 1)
    hub.refund(late)
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("pause", sender=hub.guardian)
    hub.send("unpause", sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)

    assert [name for name, _ in logged] == [
        "IntentRequested",
        "Settled",
        "Withdrawn",
        "IntentRequested",
        "Delivered",
        "Rotated",
        "Refunded",
        "GuardianOffered",
        "Paused",
        "Unpaused",
        "GuardianChanged",
    ]
    asked, settled, withdrawn, _, delivered, rotated, refunded, offered, *_, changed = (
        fields for _, fields in logged
    )
    assert camel(asked["intent"]) == intent
    assert asked["nonce"] == 0
    epoch = hub.config["firstEpoch"]
    assert settled == {
        "intent_id": intent_id,
        "status": 0,
        "fee": 3000,
        "returned": 2000,
        "epoch": epoch,
    }
    assert withdrawn == {"account": word(hub.carol), "amount": 3000}
    attestation = hub.attestation(answered)
    assert delivered["intent_id"] == hub.intent_id(answered)
    assert delivered["deliverer"] == word(hub.node)
    assert delivered["signers"] == 0b111
    for field in ("output_hash", "agent_digest", "model_digest", "evidence_hash", "origin_hub"):
        head, tail = field.split("_")
        assert delivered[field] == attestation[head + tail.capitalize()]
    assert rotated["epoch"] == epoch + 1
    assert rotated["signers"] == [bytes.fromhex(k.address[2:]) for k in members(2, "next")]
    assert rotated["roster_hash"] == rotation["rosterHash"]
    assert rotated["previous_until"] == hub.config["previousUntil"]
    assert refunded["requester"] == word(hub.alice)
    assert refunded["amount"] == 5000
    assert offered == {"guardian": word(hub.guardian), "candidate": word(hub.alice)}
    assert changed == {"previous": word(hub.guardian), "guardian": word(hub.alice)}


def test_a_log_is_one_field_that_begins_with_the_events_name(hub: SolanaHub):
    sent = hub.send("pause", sender=hub.guardian)
    (line,) = [line for line in sent.logs if line.startswith("Program data: ")]
    (field,) = line.removeprefix("Program data: ").split(" ")
    data = base64.b64decode(field)
    assert hub.program.names[data[:8]] == "Paused"
    assert data[8:] == word(hub.guardian)


def test_a_failed_call_changes_nothing_though_a_call_before_it_logged(
    hub: SolanaHub, chain: LiteChain
):
    guardian = hub.key(hub.guardian)
    metas = [AccountMeta(guardian, True, False), AccountMeta(hub.pda(b"config"), False, True)]
    calls = [Instruction(hub.program.id, bytes([byte]), metas) for byte in (12, 12)]
    failed = chain.attempt(calls, [hub.people[hub.guardian]])
    assert failed is not None
    assert hub.program.reasons[failed.code or 0] == "paused"
    assert not hub.config["paused"]
