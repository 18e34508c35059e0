"""What a pause stops and what it does not, and who may pause."""

from support.hub import ZERO, HubClient, Message, members, word
from support.hub_cases.asking import opened
from support.hub_cases.table import Cases

CASES = Cases()
NEXT = members(3, "next")


def paused(hub: HubClient) -> None:
    """Let the guardian pause the hub."""
    hub.send("pause", sender=hub.guardian)


@CASES.rejected("not the guardian", "a pause by anyone else")
def _(hub):
    hub.send("pause", sender=hub.alice)


@CASES.rejected("not the guardian", "an end of a pause by anyone else")
def _(hub):
    paused(hub)
    hub.send("unpause", sender=hub.alice)


@CASES.rejected("paused", "a pause of a paused hub")
def _(hub):
    paused(hub)
    paused(hub)


@CASES.rejected("not paused", "an end of no pause")
def _(hub):
    hub.send("unpause", sender=hub.guardian)


@CASES.rejected("paused", "a request while paused")
def _(hub):
    paused(hub)
    hub.ask()


@CASES.rejected("paused", "a delivery while paused")
def _(hub):
    paused(hub)
    hub.deliver(hub.intent())


@CASES.rejected("paused", "a retry while paused")
def _(hub):
    intent = hub.intent(callback=b"\1" * 32)
    hub.deliver(intent)
    paused(hub)
    hub.retry(intent)


@CASES.rejected("paused", "a settlement while paused")
def _(hub):
    intent = hub.ask()
    paused(hub)
    hub.settle(intent, [])


def all_three(hub: HubClient, made: tuple[Message, int]) -> None:
    """The set is the next one, the intent refunded and paid out, and the hub still paused."""
    intent, epoch = made
    assert hub.epoch == epoch + 1
    assert hub.intent_of(intent)["state"] == "refunded"
    assert hub.told("Withdrawn") == [{"account": word(hub.alice), "amount": 5000}]
    assert hub.owed(word(hub.alice)) == 0
    assert hub.settings["paused"]


@CASES.accepted("rotation, refund and withdrawal while paused", all_three)
def _(hub):
    epoch = hub.epoch
    intent = hub.ask(fee=5000)
    paused(hub)
    hub.rotate(NEXT, 2)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.send("withdraw", sender=hub.alice)
    return intent, epoch


@CASES.accepted("a request after a pause", opened)
def _(hub):
    paused(hub)
    assert hub.settings["paused"]
    assert hub.told("Paused") == [{"guardian": word(hub.guardian)}]
    hub.send("unpause", sender=hub.guardian)
    assert not hub.settings["paused"]
    assert hub.told("Unpaused") == [{"guardian": word(hub.guardian)}]
    return hub.ask()


@CASES.rejected("not the guardian", "a guardian offered by anyone else")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.alice)


@CASES.rejected("not the candidate", "a guardian's role accepted by anyone else")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.bob)


@CASES.rejected("not the candidate", "an offer that was taken back")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("offerGuardian", "0x" + "00" * 20, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)


@CASES.rejected("not the candidate", "an offer accepted twice")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)
    hub.send("acceptGuardian", sender=hub.alice)


@CASES.rejected("not the guardian", "a pause by a candidate who did not accept")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("pause", sender=hub.alice)


def handed_over(hub: HubClient, _: None) -> None:
    """Alice is the guardian, nobody is the candidate, and the pause is hers."""
    settings = hub.settings
    assert (settings["guardian"], settings["pendingGuardian"]) == (word(hub.alice), ZERO)
    assert settings["paused"]
    assert hub.told("Paused") == [{"guardian": word(hub.alice)}]


@CASES.accepted("a pause by the new guardian", handed_over)
def _(hub):
    old, new = word(hub.guardian), word(hub.alice)
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    assert (hub.settings["guardian"], hub.settings["pendingGuardian"]) == (old, new)
    assert hub.told("GuardianOffered") == [{"guardian": old, "candidate": new}]
    hub.send("acceptGuardian", sender=hub.alice)
    assert hub.told("GuardianChanged") == [{"previous": old, "guardian": new}]
    hub.send("pause", sender=hub.alice)


@CASES.rejected("not the guardian", "a pause by the old guardian")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)
    hub.send("pause", sender=hub.guardian)
