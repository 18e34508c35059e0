"""What a deployment rejects, and what a fresh hub knows of itself."""

from typing import Any

from web3 import Web3

from support.hub import DAY, ROSTER, SETTINGS, ZERO, HubClient, members, word
from support.hub_cases.delivering import delivered
from support.hub_cases.table import Cases

CASES = Cases()


def knows_itself(hub: HubClient, made: tuple[Any, int]) -> None:
    """Its id, its settings, its first set, and that its epoch and seq begin with its time."""
    fresh, before = made
    settings, committee = fresh.settings, fresh.committee
    named = SETTINGS | {"minFee": 5, "grace": 7200}
    assert {name: settings[name] for name in named} == named
    assert settings["hubId"] == fresh.id != hub.id
    assert (settings["guardian"], settings["pendingGuardian"]) == (word(hub.guardian), ZERO)
    assert not settings["paused"]
    assert before <= committee["epoch"] <= fresh.now
    assert settings["firstSeq"] == settings["nextSeq"] == (committee["epoch"] << 20) + 1
    signers = [bytes.fromhex(key.address[2:]) for key in members(3)]
    first = {"threshold": 2, "signers": signers, "rosterHash": ROSTER, "previousUntil": 0}
    assert {name: committee[name] for name in first} == first
    assert fresh.set_of(committee["epoch"]) == signers
    assert Web3.keccak(text="next roster") != ROSTER


@CASES.accepted("a deployment", knows_itself)
def _(hub):
    return hub.again(members(3), 2, minFee=5, grace=7200), hub.now


def ahead(hub: HubClient, again: Any) -> None:
    """Its first epoch and number are past all that the hub before it has given."""
    assert again.epoch > hub.epoch
    assert again.settings["firstSeq"] > hub.settings["nextSeq"] > hub.settings["firstSeq"]


@CASES.accepted("a deployment again", ahead)
def _(hub):
    for _ in range(3):
        hub.ask()
    hub.at(hub.now + 1)
    return hub.again(members(1), 1)


def sized(size: int, threshold: int) -> None:
    def then(_: HubClient, made: tuple[Any, dict[str, Any]]) -> None:
        again, intent = made
        assert len(again.committee["signers"]) == size
        delivered(signers=2**threshold - 1)(again, intent)

    @CASES.accepted(f"a first set of {size} with threshold {threshold}", then)
    def _(hub):
        again = hub.again(members(size), threshold)
        intent = again.intent()
        again.deliver(intent)
        return again, intent


sized(1, 1)
sized(32, 17)


def refused(reason: str, name: str, size: int, threshold: int, **settings: int) -> None:
    @CASES.rejected(reason, name)
    def _(hub):
        hub.again(members(size), threshold, **settings)


refused("periods", "a shortest time to live over the longest", 1, 1, minTtl=61, maxTtl=60)
refused("periods", "a longest time to live over a year", 1, 1, maxTtl=366 * DAY + 1)
refused("periods", "a grace over a year", 1, 1, grace=366 * DAY + 1)
refused("periods", "times to live at the end of time", 1, 1, minTtl=2**64 - 1, maxTtl=2**64 - 1)
refused("no signers", "a first set of nobody", 0, 0)
refused("threshold too low", "a first threshold of zero", 1, 0)
refused("threshold too low", "a first set of four with threshold two", 4, 2)
refused("threshold too low", "a first set of 32 with threshold 16", 32, 16)
refused("threshold over size", "a first threshold over the set's size", 3, 4)
refused("", "a first set of 33", 33, 17)


@CASES.rejected("set not ascending", "a first set out of order")
def _(hub):
    hub.again(members(3)[::-1], 2)
