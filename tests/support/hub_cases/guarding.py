"""What a pause stops and what it does not, and who may pause."""

from support.hub import HubClient, members
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


@CASES.accepted("rotation, refund and withdrawal while paused")
def _(hub):
    intent = hub.ask()
    paused(hub)
    hub.rotate(NEXT, 2)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.send("withdraw", sender=hub.alice)


@CASES.accepted("a request after a pause")
def _(hub):
    paused(hub)
    hub.send("unpause", sender=hub.guardian)
    hub.ask()


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


@CASES.accepted("a pause by the new guardian")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)
    hub.send("pause", sender=hub.alice)


@CASES.rejected("not the guardian", "a pause by the old guardian")
def _(hub):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    hub.send("acceptGuardian", sender=hub.alice)
    hub.send("pause", sender=hub.guardian)
