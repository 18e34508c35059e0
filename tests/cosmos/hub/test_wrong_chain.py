"""A fork that takes another chain id: only refund and withdraw work, and the queries."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.hub import Message, members, word
from support.hub_cosmos import ARGUMENTS, CosmosHub, new_hub
from support.wasmd import RevertError, running_wasmd
from support.wasmd_fork import forked

NEXT = members(1, "next")
World = tuple[CosmosHub, CosmosHub, dict[str, Message]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A hub with intents, deliveries and credits, and the same on a fork with another id."""
    with running_wasmd("vagus-1") as old:
        hub = new_hub(old, members(4), 3, old.accounts[1])
        made = {"open": hub.ask(), "delivered": hub.intent(callback=b"\1" * 32)}
        hub.deliver(made["delivered"])
        hub.settle(hub.ask(), [(word(hub.carol), 10)])
        with forked(old, "vagus-2") as new:
            yield hub, CosmosHub(new, hub.address, hub.keys, 3), made


CALLS: dict[str, Any] = {
    "request": lambda hub, _: hub.ask(),
    "deliver": lambda hub, _: hub.deliver(hub.intent()),
    "retry": lambda hub, made: hub.retry(made["delivered"]),
    "settle": lambda hub, made: hub.settle(made["open"], []),
    "rotate": lambda hub, _: hub.rotate(NEXT, 1),
    "pause": lambda hub, _: hub.send("pause", sender=hub.guardian),
    "unpause": lambda hub, _: hub.send("unpause", sender=hub.guardian),
    "offerGuardian": lambda hub, _: hub.send("offerGuardian", hub.bob, sender=hub.guardian),
    "acceptGuardian": lambda hub, _: hub.send("acceptGuardian", sender=hub.bob),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_other_call_works(world: World, name: str):
    _, hub, made = world
    with pytest.raises(RevertError) as caught:
        CALLS[name](hub, made)
    assert caught.value.reason == "wrong chain"


def test_these_are_all_calls_but_refund_and_withdraw():
    assert CALLS.keys() | {"refund", "withdraw"} == ARGUMENTS.keys()


def test_the_queries_answer_as_before(world: World):
    before, hub, made = world
    assert hub.config == before.view("config")
    assert hub.view("committee") == before.view("committee")
    id_ = hub.intent_id(made["delivered"])
    assert hub.view("delivery", id_) == before.view("delivery", id_)
    assert hub.view("delivery", id_)["callback"] == "failed"


def test_refund_and_withdraw_work(world: World):
    _, hub, made = world
    intent = made["open"]
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.send("withdraw", sender=hub.alice)
    hub.send("withdraw", sender=hub.carol)
    assert hub.chain.balance(hub.address) == 0
