"""A chain that goes on under another id: the same hub pays back there, and does nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.contracts import RevertError
from support.hub import HubClient, Message, members, word
from support.hub_cases.retrying import CALLS
from support.hub_cases.table import Cases

CASES = Cases()
ELSEWHERE = {
    "deliver": lambda hub, _: hub.deliver(hub.intent()),
    "retry": lambda hub, made: hub.retry(made["delivered"]),
    "settle": lambda hub, made: hub.settle(made["open"], []),
    "rotate": lambda hub, _: hub.rotate(members(1, "next"), 1),
    "pause": lambda hub, _: hub.send("pause", sender=hub.guardian),
    "unpause": lambda hub, _: hub.send("unpause", sender=hub.guardian),
    "offerGuardian": lambda hub, _: hub.send("offerGuardian", hub.bob, sender=hub.guardian),
    "acceptGuardian": lambda hub, _: hub.send("acceptGuardian", sender=hub.bob),
    "request": lambda hub, _: hub.ask(),
}
assert {*ELSEWHERE, "refund", "withdraw"} == {*CALLS}


@contextmanager
def forked(hub: HubClient) -> Iterator[tuple[Any, dict[str, Message]]]:
    """The hub on the fork, with an open intent of Alice, a delivery and a credit of Carol."""
    made = {"open": hub.ask(fee=5000), "delivered": hub.intent(callback=b"\1" * 32)}
    hub.deliver(made["delivered"])
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    with hub.forked() as fork:
        yield fork, made


@CASES.rejected("wrong chain", "every call but refund and withdraw on a fork with another id")
def _(hub):
    *others, last = ELSEWHERE.values()
    with forked(hub) as (fork, made):
        for call in others:
            with pytest.raises(RevertError, match="wrong chain"):
                call(fork, made)
        last(fork, made)


def paid_back(_: HubClient, owed: list[int]) -> None:
    """Of what the fork owed nothing is left, and it was all of it."""
    assert owed == [5000 + 4990, 10, 0, 0]


@CASES.accepted("refund and withdraw on a fork with another id", paid_back)
def _(hub):
    with forked(hub) as (fork, made):
        fork.at(made["open"]["deadline"] + fork.config["grace"] + 1)
        fork.refund(made["open"])
        assert fork.intent_of(made["open"])["state"] == "refunded"
        creditors = [fork.alice, fork.carol]
        before = [fork.owed(word(each)) for each in creditors]
        for each in creditors:
            fork.send("withdraw", sender=each)
        return before + [fork.owed(word(each)) for each in creditors]
