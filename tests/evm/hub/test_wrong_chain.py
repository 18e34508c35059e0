"""A fork that takes another chain id: only refund and withdraw work, and the views."""

from collections.abc import Iterator

import pytest

from support.anvil import running_anvil
from support.contracts import RevertError
from support.hub import FOREIGN, HubClient, hub_id, members, new_hub, word

NEXT = members(1, "next")


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[HubClient, dict[str, dict[str, int]]]]:
    """A hub with intents, deliveries and credits, whose chain's state goes on under another id."""
    with running_anvil(31337) as old, running_anvil(31338) as new:
        hub = new_hub(old, members(4), 3, old.accounts[1])
        made = {"open": hub.ask(), "delivered": hub.intent(callback=b"\1" * 32)}
        hub.deliver(made["delivered"])
        hub.settle(hub.ask(), [(word(hub.carol), 10)])
        assert new.rpc("anvil_loadState", old.rpc("anvil_dumpState"))
        new.at(old.now + 1)
        new.rpc("evm_mine")
        contract = new.web3.eth.contract(address=hub.contract.address, abi=hub.contract.abi)
        yield HubClient(new, contract, hub.keys, 3), made


@pytest.fixture
def hub(world) -> Iterator[HubClient]:
    with world[0].anvil.undone():
        yield world[0]


CALLS = {
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
def test_no_other_call_works(hub: HubClient, world, name: str):
    with pytest.raises(RevertError) as caught:
        CALLS[name](hub, world[1])
    assert caught.value.reason == "wrong chain"


def test_these_are_all_calls_but_refund_and_withdraw(hub: HubClient):
    changing = {
        entry["name"]
        for entry in hub.contract.abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }
    assert changing == {*CALLS, "refund", "withdraw"}


def test_refund_and_withdraw_work(hub: HubClient, world):
    intent = world[1]["open"]
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.send("withdraw", sender=hub.alice)
    hub.send("withdraw", sender=hub.carol)
    assert hub.anvil.web3.eth.get_balance(hub.contract.address) == 0


def test_the_views_answer_as_before(hub: HubClient, world):
    assert hub.view("hubId") == hub.id == hub_id(31337, hub.contract.address)
    assert hub.view("config") == world[0].config | {"nextSeq": world[0].config["firstSeq"] + 2}


def test_a_hub_at_the_same_address_of_another_chain_takes_no_signature_of_this_one():
    keys = members(4)
    with running_anvil(31337) as one, running_anvil(31338) as two:
        here, there = (new_hub(anvil, keys, 3, anvil.accounts[1]) for anvil in (one, two))
        assert here.contract.address == there.contract.address
        assert here.id != there.id
        assert here.epoch == there.epoch
        intent = there.intent()
        attestation = there.attestation(intent)
        with pytest.raises(RevertError) as caught:
            there.deliver(intent, attestation, b"answer", here.sign("Attestation", attestation))
        assert caught.value.reason == "unknown signer"
        there.deliver(intent, attestation, b"answer", there.sign("Attestation", attestation))
        foreign = here.intent(originHub=FOREIGN, destHub=here.id)
        with pytest.raises(RevertError) as caught:
            there.deliver(foreign, here.attestation(foreign))
        assert caught.value.reason == "another hub's intent"
