"""What the hub keeps and tells of requests, deliveries and rotations."""

import base64

import pytest
from web3 import Web3

from support.hub import AGENT, FOREIGN, ROSTER, ZERO, members, word
from support.hub_cosmos import CosmosHub
from support.wasmd import Chain, Result, RevertError


def request(
    hub: CosmosHub, payload: bytes = b"question", terms: bytes = b"{}"
) -> tuple[Result, int]:
    """Request with every field different from every other."""
    deadline = hub.now + 500
    arguments = (AGENT, payload, b"\1" * 32, terms, 2, FOREIGN, b"\2" * 32, 90_000, deadline)
    return hub.send("request", *arguments, sender=hub.alice, value=7000), deadline


def test_a_request_tells_the_whole_intent_the_payload_and_the_terms(hub: CosmosHub):
    result, deadline = request(hub)
    (event,) = hub.events("IntentRequested", result)
    assert event["intent"] == {
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
    assert event["intentId"] == hub.intent_id(event["intent"])


def test_empty_terms_hash_as_zero_and_an_empty_payload_as_nothing(hub: CosmosHub):
    result, _ = request(hub, payload=b"", terms=b"")
    (event,) = hub.events("IntentRequested", result)
    assert event["intent"]["termsHash"] == ZERO
    assert event["intent"]["payloadHash"] == Web3.keccak(b"")
    assert (event["payload"], event["terms"]) == (b"", b"")


def test_request_answers_the_intents_id(hub: CosmosHub):
    result, _ = request(hub)
    (event,) = hub.events("IntentRequested", result)
    # MsgExecuteContractResponse within TxMsgData, which the SDK makes of a contract's data.
    assert event["intentId"] in base64.b64decode(result["data"])


def test_an_open_intent_is_in_the_hubs_state(hub: CosmosHub):
    intent = hub.ask(fee=7000)
    assert hub.view("intentState", hub.intent_id(intent)) == {
        "state": "open",
        "requester": word(hub.alice),
        "deadline": intent["deadline"],
        "destHub": FOREIGN,
        "escrow": 7000,
    }


def test_what_is_unknown_is_null(hub: CosmosHub):
    assert hub.view("intentState", b"\1" * 32) is None
    assert hub.view("delivery", b"\1" * 32) is None
    assert hub.view("credit", b"\1" * 32) == 0


def test_seq_has_no_gaps_even_after_failed_requests(hub: CosmosHub):
    seqs = []
    for _ in range(3):
        seqs.append(hub.ask()["seq"])
        with pytest.raises(RevertError):
            hub.ask(fee=1)
    first = hub.config["firstSeq"]
    assert seqs == [first, first + 1, first + 2]
    assert hub.view("config")["nextSeq"] == first + 3


def test_equal_requests_are_different_intents(hub: CosmosHub):
    deadline = hub.now + 500
    first, second = (hub.ask(deadline=deadline) for _ in range(2))
    assert hub.intent_id(first) != hub.intent_id(second)


def requests(hub: CosmosHub, start: int, limit: int) -> list[tuple[int, str, int]]:
    """The list of requests from a seq on."""
    question = {"requests": {"from": str(start), "limit": str(limit)}}
    found = hub.chain.query(hub.address, question)
    return [(int(e["seq"]), e["intent_id"], int(e["height"])) for e in found]


def test_the_list_of_requests_says_in_which_block_each_is(chain: Chain, hub: CosmosHub):
    first = hub.config["firstSeq"]
    made = []
    for seq in range(first, first + 3):
        intent = hub.ask()
        made.append((seq, hub.intent_id(intent).hex(), chain.node.height))
        with pytest.raises(RevertError):
            hub.ask(fee=1)
    assert requests(hub, 0, 100) == made
    assert requests(hub, first + 1, 1) == made[1:2]
    assert requests(hub, first + 3, 100) == []
    (event,) = hub.events("IntentRequested", chain.results(made[1][2])[0])
    assert (event["seq"], event["intentId"].hex()) == made[1][:2]


def test_the_list_of_requests_is_at_most_a_hundred_long(chain: Chain, hub: CosmosHub):
    message = hub.message("request", AGENT, b"", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 600)
    chain.execute_many(hub.address, [message] * 101, hub.alice, {"stake": 1000})
    first = hub.config["firstSeq"]
    found = requests(hub, first, 2**64 - 1)
    assert [seq for seq, _, _ in found] == list(range(first, first + 100))
    assert len({id_ for _, id_, _ in found}) == 100
    assert requests(hub, first, 0) == []


@pytest.mark.parametrize(
    ("chosen", "bitmap"), [([0, 1, 2], 0b0111), ([1, 2, 3], 0b1110), ([0, 1, 2, 3], 0b1111)]
)
def test_a_delivery_is_recorded_with_who_signed_and_who_delivered(
    hub: CosmosHub, chosen: list[int], bitmap: int
):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.at(hub.now + 77)
    signatures = hub.sign("Attestation", attestation, [hub.keys[i] for i in chosen])
    result = hub.deliver(intent, attestation, b"answer", signatures)
    assert hub.view("delivery", hub.intent_id(intent)) == {
        "deliveredAt": hub.now,
        "status": 0,
        "outputHash": Web3.keccak(b"answer"),
        "evidenceHash": Web3.keccak(b"evidence"),
        "epoch": hub.epoch,
        "signers": bitmap,
        "deliverer": word(hub.node),
        "callback": "none",
    }
    (event,) = hub.events("Delivered", result)
    told = ("intentId", "originHub", "status", "outputHash", "agentDigest", "modelDigest")
    assert {name: event[name] for name in told} == {name: attestation[name] for name in told}
    assert event["evidenceHash"] == attestation["evidenceHash"]
    assert (event["epoch"], event["signers"]) == (hub.epoch, bitmap)
    assert (event["deliverer"], event["output"]) == (word(hub.node), b"answer")
    assert hub.events("CallbackResult", result) == []


def test_a_set_of_32_signs_with_all_its_members(hub: CosmosHub):
    keys = members(32, "many")
    hub.rotate(keys, 32)
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, b"answer", hub.sign("Attestation", attestation, keys))
    assert hub.view("delivery", hub.intent_id(intent))["signers"] == 2**32 - 1


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_and_a_failure_are_recorded(hub: CosmosHub, status: int):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, b"", status), b"")
    delivery = hub.view("delivery", hub.intent_id(intent))
    assert (delivery["status"], delivery["outputHash"]) == (status, Web3.keccak(b""))


def test_the_record_of_an_old_epoch_keeps_its_meaning(hub: CosmosHub):
    intent = hub.intent()
    hub.deliver(intent)
    epoch = hub.epoch
    keys = members(3, "next")
    result = hub.rotate(keys, 2)
    until = hub.now + hub.config["grace"]
    assert hub.view("delivery", hub.intent_id(intent))["epoch"] == epoch
    old, new = ([bytes.fromhex(k.address[2:]) for k in each] for each in (hub.keys, keys))
    assert hub.view("signersOf", epoch) == old
    assert hub.view("signersOf", epoch - 1) == hub.view("signersOf", epoch + 2) == []
    assert hub.events("Rotated", result) == [
        {
            "epoch": epoch + 1,
            "threshold": 2,
            "signers": new,
            "rosterHash": Web3.keccak(text="next roster"),
            "previousUntil": until,
        }
    ]
    assert hub.view("committee") == {
        "epoch": epoch + 1,
        "threshold": 2,
        "signers": new,
        "rosterHash": Web3.keccak(text="next roster"),
        "previous": {"epoch": epoch, "threshold": 3, "signers": old, "until": until},
    }
    assert hub.view("committee")["rosterHash"] != ROSTER


def test_the_guardian_changes_in_two_steps_that_events_tell(hub: CosmosHub):
    guardian, carol = word(hub.guardian), word(hub.carol)
    offer = hub.send("offerGuardian", hub.carol, sender=hub.guardian)
    assert hub.view("config")["guardian"] == guardian
    assert hub.view("config")["pendingGuardian"] == carol
    change = hub.send("acceptGuardian", sender=hub.carol)
    assert hub.view("config")["guardian"] == carol
    assert hub.view("config")["pendingGuardian"] == ZERO
    assert hub.events("GuardianOffered", offer) == [{"guardian": guardian, "candidate": carol}]
    assert hub.events("GuardianChanged", change) == [{"previous": guardian, "guardian": carol}]


def test_a_pause_and_its_end_are_told(hub: CosmosHub):
    paused = hub.send("pause", sender=hub.guardian)
    assert hub.view("config")["paused"] is True
    unpaused = hub.send("unpause", sender=hub.guardian)
    assert hub.view("config")["paused"] is False
    assert hub.events("Paused", paused) == [{"guardian": word(hub.guardian)}]
    assert hub.events("Unpaused", unpaused) == [{"guardian": word(hub.guardian)}]
