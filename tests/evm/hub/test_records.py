"""What the hub keeps and tells of requests, deliveries and rotations."""

import pytest
from web3 import Web3

from support.contracts import RevertError
from support.hub import AGENT, DAY, FOREIGN, ROSTER, ZERO, HubClient, members, word


def request(hub: HubClient, payload: bytes = b"question", terms: bytes = b"{}", fee: int = 7000):
    """Request with every field different from every other."""
    deadline = hub.now + 500
    arguments = (AGENT, payload, b"\1" * 32, terms, 2, FOREIGN, b"\2" * 32, 90_000, deadline)
    return hub.send("request", *arguments, sender=hub.alice, value=fee), deadline


def test_a_request_tells_the_whole_intent_the_payload_and_the_terms(hub: HubClient):
    receipt, deadline = request(hub)
    (event,) = hub.events("IntentRequested", receipt)
    assert dict(event["intent"]) == {
        "originHub": hub.id,
        "seq": hub.config["nextSeq"],
        "requester": word(hub.alice),
        "agentId": AGENT,
        "payloadHash": Web3.keccak(b"question"),
        "modelDigest": b"\1" * 32,
        "termsHash": Web3.keccak(b"{}"),
        "minSigners": 2,
        "destHub": FOREIGN,
        "callback": b"\2" * 32,
        "callbackGas": 90_000,
        "feeAsset": ZERO,
        "maxFee": 7000,
        "deadline": deadline,
    }
    assert (event["payload"], event["terms"]) == (b"question", b"{}")
    assert event["seq"] == hub.config["nextSeq"]
    assert event["intentId"] == hub.intent_id(dict(event["intent"]))


def test_empty_terms_hash_as_zero_and_an_empty_payload_as_nothing(hub: HubClient):
    receipt, _ = request(hub, payload=b"", terms=b"")
    (event,) = hub.events("IntentRequested", receipt)
    assert event["intent"]["termsHash"] == ZERO
    assert event["intent"]["payloadHash"] == Web3.keccak(b"")


def test_request_answers_the_intents_id(hub: HubClient):
    arguments = (AGENT, b"", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 500)
    options = {"from": hub.alice, "value": 7000}
    id_ = hub.functions.request(*arguments).call(options)
    receipt = hub.send("request", *arguments, sender=hub.alice, value=7000)
    assert hub.events("IntentRequested", receipt)[0]["intentId"] == id_


def test_an_open_intent_is_in_the_hubs_state(hub: HubClient):
    intent = hub.ask(fee=7000)
    assert hub.view("intentState", hub.intent_id(intent)) == {
        "state": 1,
        "requester": hub.alice,
        "deadline": intent["deadline"],
        "destHub": FOREIGN,
        "escrow": 7000,
    }


def test_an_unknown_intent_has_an_empty_state(hub: HubClient):
    state = hub.view("intentState", b"\1" * 32)
    assert state == {
        "state": 0,
        "requester": "0x" + "00" * 20,
        "deadline": 0,
        "destHub": ZERO,
        "escrow": 0,
    }


def test_seq_has_no_gaps_even_after_failed_requests(hub: HubClient):
    seqs = []
    for _ in range(3):
        seqs.append(hub.ask()["seq"])
        with pytest.raises(RevertError):
            hub.ask(fee=0)
    first = hub.config["firstSeq"]
    assert seqs == [first, first + 1, first + 2]
    assert hub.view("config")["nextSeq"] == first + 3


def test_equal_requests_are_different_intents(hub: HubClient):
    deadline = hub.now + 500
    first, second = (hub.ask(deadline=deadline) for _ in range(2))
    assert hub.intent_id(first) != hub.intent_id(second)


@pytest.mark.parametrize(
    ("chosen", "bitmap"), [([0, 1, 2], 0b0111), ([1, 2, 3], 0b1110), ([0, 1, 2, 3], 0b1111)]
)
def test_a_delivery_is_recorded_with_who_signed_and_who_delivered(
    hub: HubClient, chosen: list[int], bitmap: int
):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.at(hub.now + 77)
    signatures = hub.sign("Attestation", attestation, [hub.keys[i] for i in chosen])
    receipt = hub.deliver(intent, attestation, b"answer", signatures)
    assert hub.view("delivery", hub.intent_id(intent)) == {
        "deliveredAt": hub.now,
        "status": 0,
        "outputHash": Web3.keccak(b"answer"),
        "evidenceHash": Web3.keccak(b"evidence"),
        "epoch": hub.epoch,
        "signers": bitmap,
        "deliverer": hub.node,
        "callback": 0,
    }
    (event,) = hub.events("Delivered", receipt)
    told = ("intentId", "originHub", "status", "outputHash", "agentDigest", "modelDigest")
    assert {name: event[name] for name in told} == {name: attestation[name] for name in told}
    assert event["evidenceHash"] == attestation["evidenceHash"]
    assert (event["epoch"], event["signers"]) == (hub.epoch, bitmap)
    assert (event["deliverer"], event["output"]) == (hub.node, b"answer")
    assert hub.events("CallbackResult", receipt) == []


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_and_a_failure_are_recorded(hub: HubClient, status: int):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, b"", status), b"")
    delivery = hub.view("delivery", hub.intent_id(intent))
    assert (delivery["status"], delivery["outputHash"]) == (status, Web3.keccak(b""))


def test_what_was_not_delivered_has_an_empty_record(hub: HubClient):
    delivery = hub.view("delivery", b"\1" * 32)
    assert set(delivery.values()) == {0, ZERO, "0x" + "00" * 20}


def test_the_record_of_an_old_epoch_keeps_its_meaning(hub: HubClient):
    intent = hub.intent()
    hub.deliver(intent)
    epoch = hub.epoch
    keys = members(3, "next")
    receipt = hub.rotate(keys, 2)
    until = hub.now + hub.config["grace"]
    delivery = hub.view("delivery", hub.intent_id(intent))
    assert delivery["epoch"] == epoch
    assert hub.view("signersOf", epoch) == [key.address for key in hub.keys]
    assert hub.view("signersOf", epoch - 1) == hub.view("signersOf", epoch + 2) == []
    (event,) = hub.events("Rotated", receipt)
    assert (event["epoch"], event["threshold"]) == (epoch + 1, 2)
    assert event["signers"] == [key.address for key in keys]
    assert event["previousUntil"] == until
    assert hub.view("committee") == {
        "epoch": epoch + 1,
        "threshold": 2,
        "signers": [key.address for key in keys],
        "rosterHash": Web3.keccak(text="next roster"),
        "previousEpoch": epoch,
        "previousThreshold": 3,
        "previousSigners": [key.address for key in hub.keys],
        "previousUntil": until,
    }
    assert hub.view("committee")["rosterHash"] != ROSTER


def test_the_new_set_signs_from_the_rotation_on(hub: HubClient):
    keys = members(5, "next")
    hub.rotate(keys, 3)
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, b"answer", hub.sign("Attestation", attestation, keys[2:]))
    delivery = hub.view("delivery", hub.intent_id(intent))
    assert (delivery["epoch"], delivery["signers"]) == (hub.epoch, 0b11100)


def test_the_guardian_changes_in_two_steps_that_events_tell(hub: HubClient):
    offer = hub.send("offerGuardian", hub.carol, sender=hub.guardian)
    assert hub.view("config")["guardian"] == hub.guardian
    assert hub.view("config")["pendingGuardian"] == hub.carol
    change = hub.send("acceptGuardian", sender=hub.carol)
    assert hub.view("config")["guardian"] == hub.carol
    (offered,) = hub.events("GuardianOffered", offer)
    (changed,) = hub.events("GuardianChanged", change)
    assert dict(offered) == {"guardian": hub.guardian, "candidate": hub.carol}
    assert dict(changed) == {"previous": hub.guardian, "guardian": hub.carol}


def test_a_pause_and_its_end_are_told(hub: HubClient):
    paused = hub.send("pause", sender=hub.guardian)
    assert hub.view("config")["paused"]
    unpaused = hub.send("unpause", sender=hub.guardian)
    assert not hub.view("config")["paused"]
    assert dict(hub.events("Paused", paused)[0]) == {"guardian": hub.guardian}
    assert dict(hub.events("Unpaused", unpaused)[0]) == {"guardian": hub.guardian}


def test_a_record_holds_136_years_and_then_refuses_rather_than_lies(hub: HubClient):
    deployed = hub.epoch  # the first epoch is the deployment's time
    last = deployed + 2**32 - 1
    intent = hub.intent(deadline=last + DAY)
    hub.at(last)
    hub.deliver(intent)
    assert hub.view("delivery", hub.intent_id(intent))["deliveredAt"] == last
    with pytest.raises(RevertError) as caught:
        hub.deliver(intent | {"seq": 8})
    assert caught.value.reason == "record full"
