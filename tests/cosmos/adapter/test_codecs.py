"""The hub's messages and answers: what the contract's own schema takes, and what is refused."""

import dataclasses
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.adapters.base import CallbackState, IntentState, Question
from vagus.adapters.cosmos import hub
from vagus.protocol import ZERO32, Attestation, Intent, Payout, Receipt, Rotation, keccak256

HUB = keccak256(b"a hub")
PAYLOAD, TERMS = b'{"prompt":"x"}', b"{}"
INTENT = Intent(
    origin_hub=HUB,
    seq=7,
    requester=b"\x01" * 32,
    agent_id=b"\x02" * 32,
    payload_hash=keccak256(PAYLOAD),
    model_digest=ZERO32,
    terms_hash=keccak256(TERMS),
    min_signers=2,
    dest_hub=b"\x03" * 32,
    callback=b"\x04" * 32,
    callback_gas=300_000,
    fee_asset=ZERO32,
    max_fee=2**100,
    deadline=1_800_000_000,
)
ATTRIBUTES = {
    "_contract_address": "wasm1hub",
    "intent_id": INTENT.id.hex(),
    "origin_hub": HUB.hex(),
    "seq": "7",
    "requester": "01" * 32,
    "agent_id": "02" * 32,
    "payload_hash": keccak256(PAYLOAD).hex(),
    "model_digest": "00" * 32,
    "terms_hash": keccak256(TERMS).hex(),
    "min_signers": "2",
    "dest_hub": "03" * 32,
    "callback": "04" * 32,
    "callback_gas": "300000",
    "fee_asset": "00" * 32,
    "max_fee": str(2**100),
    "deadline": "1800000000",
    "payload": PAYLOAD.hex(),
    "terms": TERMS.hex(),
    "msg_index": "0",
}
CONFIG = {
    "hub_id": HUB.hex(),
    "chain_id": "vagus-1",
    "fee_denom": "stake",
    "min_fee": "0",
    "min_ttl": "120",
    "max_ttl": "2592000",
    "grace": "3600",
    "retry_window": "604800",
    "max_callback_gas": "2000000",
    "first_seq": "10",
    "next_seq": "12",
    "guardian": "00" * 32,
    "pending_guardian": "00" * 32,
    "paused": False,
}
DELIVERY = {
    "delivered_at": "1800000000",
    "status": "0",
    "output_hash": "01" * 32,
    "evidence_hash": "02" * 32,
    "epoch": "5",
    "signers": "3",
    "deliverer": "04" * 32,
    "callback": "failed",
}


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def test_a_call_is_the_json_that_the_documentation_shows() -> None:
    question = Question(
        agent_id=b"\x01" * 32,
        payload=b"\xab",
        model_digest=ZERO32,
        terms=b"",
        min_signers=1,
        dest_hub=b"\x02" * 32,
        callback=ZERO32,
        callback_gas=0,
        deadline=9,
        fee=5,
    )
    assert json.loads(hub.encode_request(question)) == {
        "request": {
            "agent_id": "01" * 32,
            "payload": "ab",
            "model_digest": "00" * 32,
            "terms": "",
            "min_signers": "1",
            "dest_hub": "02" * 32,
            "callback": "00" * 32,
            "callback_gas": "0",
            "deadline": "9",
        }
    }
    receipt = Receipt(ZERO32, b"\x01" * 32, 0, b"\x02" * 32, 43, 5, 6)
    settle = json.loads(hub.encode_settle(receipt, [Payout(b"\x03" * 32, 43)], [b"\x04" * 65]))
    assert settle["settle"]["payouts"] == [{"payee": "03" * 32, "amount": "43"}]
    assert settle["settle"]["signatures"] == ["04" * 65]
    assert settle["settle"]["receipt"] == {
        "intent_id": "00" * 32,
        "dest_hub": "01" * 32,
        "status": "0",
        "payouts_hash": "02" * 32,
        "fee": "43",
        "epoch": "5",
        "expiry": "6",
    }
    rotation = Rotation(1, ZERO32, 2, 3, ZERO32)
    rotate = json.loads(hub.encode_rotate(rotation, [b"\x05" * 20], []))
    assert rotate["rotate"]["signers"] == ["05" * 20]


def test_the_callbacks_gas_is_read_back_from_the_calls_that_call_back() -> None:
    attestation = Attestation(ZERO32, HUB, 0, ZERO32, ZERO32, ZERO32, ZERO32, 1, 2)
    assert hub.callback_gas(hub.encode_deliver(INTENT, attestation, b"", [])) == 300_000
    assert hub.callback_gas(hub.encode_retry(INTENT, b"")) == 300_000
    nobody = dataclasses.replace(INTENT, callback=ZERO32)
    assert hub.callback_gas(hub.encode_retry(nobody, b"")) == 0
    assert hub.callback_gas(hub.encode_refund(ZERO32)) == 0
    assert hub.callback_gas(hub.encode_withdraw()) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: hub.encode_retry(INTENT, bytes(8_193)),
        lambda: hub.encode_rotate(Rotation(1, ZERO32, 1, 1, ZERO32), [bytes(20)] * 33, []),
        lambda: hub.encode_settle(
            Receipt(ZERO32, ZERO32, 0, ZERO32, 0, 0, 0), [Payout(ZERO32, 0)] * 35, []
        ),
    ],
)
def test_what_no_hub_takes_is_not_encoded(call: Any) -> None:
    with pytest.raises(ValueError, match="the hub takes"):
        call()


def test_an_event_is_read_with_its_intent_payload_and_terms() -> None:
    assert hub.decode_requested(ATTRIBUTES.items(), HUB) == (INTENT, PAYLOAD, TERMS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"payload": b"other".hex()}, "a payload that is not"),
        ({"terms": ""}, "terms that are not"),
        ({"max_fee": "1"}, "an id that is not"),
        ({"max_fee": "01"}, "decimal digits"),
        ({"max_fee": str(2**256)}, "256 bits"),
        ({"seq": str(2**64)}, "uint64"),
        ({"requester": "01" * 31}, "64 hex digits"),
        ({"requester": "0A" * 32}, "64 hex digits"),
        ({"payload": "a"}, "hex digits"),
        ({"more": "x"}, "attributes that are not"),
    ],
)
def test_an_event_that_contradicts_itself_is_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hub.decode_requested((ATTRIBUTES | changes).items(), HUB)


def test_an_event_with_too_few_or_doubled_attributes_is_refused() -> None:
    without = [(name, value) for name, value in ATTRIBUTES.items() if name != "seq"]
    with pytest.raises(ValueError, match="attributes that are not"):
        hub.decode_requested(without, HUB)
    with pytest.raises(ValueError, match="'seq' twice"):
        hub.decode_requested([*ATTRIBUTES.items(), ("seq", "7")], HUB)
    with pytest.raises(ValueError, match="another hub"):
        hub.decode_requested(ATTRIBUTES.items(), ZERO32)


def test_the_hubs_answers_are_read_field_by_field() -> None:
    config = hub.decode_config(encoded(CONFIG))
    assert (config.hub_id, config.first_seq, config.next_seq, config.paused) == (HUB, 10, 12, False)
    delivery = hub.decode_delivery(encoded(DELIVERY))
    assert delivery is not None
    assert (delivery.time, delivery.signers, delivery.callback) == (
        1_800_000_000,
        3,
        CallbackState.FAILED,
    )
    assert hub.decode_delivery(b"null") is None
    assert hub.decode_intent_state(b"null") is IntentState.NONE
    assert hub.decode_credit(b'"7"') == 7
    committee = {"epoch": "2", "threshold": "1", "signers": ["11" * 20], "roster_hash": "22" * 32}
    before = {"epoch": "1", "threshold": "1", "signers": ["33" * 20], "until": "9"}
    found = hub.decode_committee(encoded(committee | {"previous": before}))
    assert found.current.signers == (b"\x11" * 20,)
    assert found.previous is not None
    assert (found.previous.epoch, found.previous_until) == (1, 9)
    assert hub.decode_committee(encoded(committee | {"previous": None})).previous is None


@pytest.mark.parametrize(
    ("decode", "answer"),
    [
        (hub.decode_config, CONFIG | {"min_fee": 0}),
        (hub.decode_config, CONFIG | {"hub_id": "zz"}),
        (hub.decode_config, CONFIG | {"new": "field"}),
        (hub.decode_config, CONFIG | {"grace": str(2**64)}),
        (hub.decode_delivery, DELIVERY | {"status": "3"}),
        (hub.decode_delivery, DELIVERY | {"callback": "maybe"}),
        (hub.decode_delivery, DELIVERY | {"signers": str(2**32)}),
        (hub.decode_intent_state, {"state": "open"}),
        (hub.decode_credit, str(2**128)),
        (hub.decode_credit, "-1"),
        (hub.decode_committee, {"epoch": "1"}),
    ],
)
def test_an_answer_that_no_hub_writes_is_refused(decode: Any, answer: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - in the words of the decoder that found it
        decode(encoded(answer))


def place(seq: int, height: int) -> dict[str, str]:
    return {"seq": str(seq), "intent_id": "01" * 32, "height": str(height)}


def test_a_page_of_requests_counts_on_without_a_gap() -> None:
    found = hub.decode_places(encoded([place(5, 10), place(6, 10), place(7, 12)]), 5)
    assert [(each.seq, each.height) for each in found] == [(5, 10), (6, 10), (7, 12)]


@pytest.mark.parametrize(
    "page",
    [
        [place(6, 10)],
        [place(5, 10), place(7, 10)],
        [place(5, 10), place(5, 10)],
        [place(5, 10), place(6, 9)],
        [place(5 + n, 10) for n in range(101)],
    ],
)
def test_a_page_with_a_gap_or_out_of_order_is_refused(page: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match="requests"):
        hub.decode_places(encoded(page), 5)


DECODERS = (
    hub.decode_config,
    hub.decode_committee,
    hub.decode_intent_state,
    hub.decode_delivery,
    hub.decode_credit,
    lambda data: hub.decode_places(data, 0),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["0", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*CONFIG, *DELIVERY, "state", "previous"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), JSON.map(encoded)))
def test_any_bytes_are_an_answer_or_a_value_error(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except ValueError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*ATTRIBUTES]), st.text(max_size=70)))
def test_any_attributes_are_an_event_or_a_value_error(changes: dict[str, str]) -> None:
    try:
        hub.decode_requested((ATTRIBUTES | changes).items(), HUB)
    except ValueError:
        return
