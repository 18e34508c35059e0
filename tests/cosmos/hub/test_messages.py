"""What is no message of the hub: refused while it is parsed, before any rule."""

import pytest

from support.hub import word
from support.hub_cosmos import CosmosHub
from support.wasmd import Chain, RevertError

NO_MESSAGE = "Error parsing into type vagus_interface::msg::ExecuteMsg"


def word_of(digit: str) -> str:
    return digit * 64


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"withdraw": None},
        {"withdraw": {"to": "me"}},
        {"refund": {"intent_id": word_of("a"), "to": "me"}},
        {"withdraw": {}, "pause": {}},
        {"unknown": {}},
        {"refund": {}},
        {"refund": {"intent_id": word_of("a")[1:]}},
        {"refund": {"intent_id": word_of("a") + "a"}},
        {"refund": {"intent_id": word_of("a") + "aa"}},
        {"refund": {"intent_id": word_of("A")}},
        {"refund": {"intent_id": word_of("g")}},
        {"refund": {"intent_id": "0x" + word_of("a")}},
        {"refund": {"intent_id": "0x" + word_of("a")[2:]}},
        {"refund": {"intent_id": "é" * 32}},
        {"refund": {"intent_id": None}},
        {"refund": {"intent_id": 7}},
        b'{"refund":{"intent_id":"' + b"a" * 64 + b'","intent_id":"' + b"a" * 64 + b'"}}',
        # The chain itself takes no more than 10,000 levels.
        b"[" * 9_000 + b"]" * 9_000,
        b'{"withdraw":' * 9_000 + b"{}" + b"}" * 9_000,
    ],
    ids=lambda message: str(message)[:40],
)
def test_a_message_that_is_none_is_refused_while_it_is_parsed(
    chain: Chain, hub: CosmosHub, message: object
):
    with pytest.raises(RevertError) as caught:
        chain.execute(hub.address, message, hub.alice)
    assert NO_MESSAGE in caught.value.reason


@pytest.mark.parametrize("struct", ["intent", "attestation", "receipt", "rotation", "payouts"])
def test_a_field_that_a_struct_does_not_have_is_refused(chain: Chain, hub: CosmosHub, struct: str):
    payouts = [(word(hub.carol), 1)]
    intent = hub.intent()
    attestation, receipt = hub.attestation(intent), hub.receipt(intent, payouts)
    calls = {
        "intent": ("retry", (tuple(intent.values()), b"")),
        "attestation": (
            "deliver",
            (tuple(intent.values()), tuple(attestation.values()), b"", []),
        ),
        "receipt": ("settle", (tuple(receipt.values()), payouts, [])),
        "payouts": ("settle", (tuple(receipt.values()), payouts, [])),
        "rotation": ("rotate", (tuple(hub.rotation([], 0).values()), [], [])),
    }
    name, arguments = calls[struct]
    message = hub.message(name, *arguments)
    holder = message[name][struct]
    (holder[0] if struct == "payouts" else holder)["more"] = "1"
    with pytest.raises(RevertError) as caught:
        chain.execute(hub.address, message, hub.alice)
    assert NO_MESSAGE in caught.value.reason


@pytest.mark.parametrize("number", [7, "-1", "1e3", "0x7", "", " 7", str(2**64), None, 7.0])
def test_a_number_that_is_no_decimal_text_is_refused(chain: Chain, hub: CosmosHub, number: object):
    message = hub.message("retry", tuple(hub.intent().values()), b"")
    message["retry"]["intent"]["seq"] = number
    with pytest.raises(RevertError) as caught:
        chain.execute(hub.address, message, hub.alice)
    assert NO_MESSAGE in caught.value.reason
