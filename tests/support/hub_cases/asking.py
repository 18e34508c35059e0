"""What request rejects."""

from support.hub import FOREIGN
from support.hub_cases.table import Cases

CASES = Cases()


@CASES.rejected("fee under minimum", "a fee under the minimum")
def _(hub):
    hub.ask(fee=hub.config["minFee"] - 1)


@CASES.accepted("a fee of the minimum")
def _(hub):
    hub.ask(fee=hub.config["minFee"])


@CASES.rejected("deadline too early", "a deadline sooner than the shortest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["minTtl"] - 1)


@CASES.accepted("a deadline at the shortest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["minTtl"])


@CASES.rejected("deadline too late", "a deadline later than the longest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["maxTtl"] + 1)


@CASES.accepted("a deadline at the longest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["maxTtl"])


@CASES.rejected("deadline too late", "a deadline at the end of time")
def _(hub):
    hub.ask(deadline=2**64 - 1)


@CASES.rejected("callback gas over maximum", "more callback gas than this hub allows, to this hub")
def _(hub):
    hub.ask(destHub=hub.id, callbackGas=hub.config["maxCallbackGas"] + 1)


@CASES.accepted("more callback gas than this hub allows, to another hub")
def _(hub):
    hub.ask(destHub=FOREIGN, callbackGas=hub.config["maxCallbackGas"] + 1)


@CASES.rejected("", "a payload over 8,192 bytes")
def _(hub):
    hub.ask(payload=bytes(8193))


@CASES.rejected("", "terms over 1,024 bytes")
def _(hub):
    hub.ask(terms=bytes(1025))


@CASES.accepted("a payload of 8,192 bytes and terms of 1,024")
def _(hub):
    hub.ask(payload=bytes(8192), terms=bytes(1024))
