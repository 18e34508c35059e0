"""A callback that failed: again until it has succeeded, once, and never from within."""

from support.hub import DAY, FOREIGN, HubClient, Message, members, word
from support.hub_cases.delivering import as_it_was
from support.hub_cases.table import Cases

CASES = Cases()
ANSWER = b"answer"
GAS = 400_000
CALLS = (
    "request", "deliver", "retry", "settle", "refund", "withdraw", "rotate",
    "pause", "unpause", "offerGuardian", "acceptGuardian",
)  # fmt: skip


def succeeded_late(hub: HubClient, made: tuple[Message, Message, object]) -> None:
    """The consumer has the answer, and of the record nothing has changed but the outcome."""
    intent, record, consumer = made
    assert consumer.answered(intent) == (0, ANSWER)
    assert record["callback"] == "failed"
    assert hub.delivery_of(intent) == record | {"callback": "succeeded"}


@CASES.accepted("a retry once the consumer is willing", succeeded_late)
def _(hub):
    consumer = hub.consumer()
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert not hub.answer(intent)
    record = hub.delivery_of(intent)
    consumer.allow(FOREIGN, word(hub.alice))
    assert hub.call_again(intent)
    return intent, record, consumer


@CASES.accepted(
    "a retry past the deadline, when the set that signed has been replaced", succeeded_late
)
def _(hub):
    consumer = hub.consumer()
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert not hub.answer(intent)
    record = hub.delivery_of(intent)
    consumer.allow(FOREIGN, word(hub.alice))
    hub.rotate(members(1, "next"), 1)
    hub.at(hub.now + 6 * DAY)
    assert hub.call_again(intent)
    return intent, record, consumer


@CASES.accepted("a retry that fails again", as_it_was)
def _(hub):
    consumer = hub.consumer()
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert not hub.answer(intent)
    record = hub.delivery_of(intent)
    assert not hub.call_again(intent)
    return intent, record


@CASES.rejected("no failed callback", "a retry of a callback that succeeded at once")
def _(hub):
    consumer = hub.consumer()
    consumer.allow(FOREIGN, word(hub.alice))
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert hub.answer(intent)
    assert consumer.answered(intent) == (0, ANSWER)
    hub.retry(intent)


@CASES.rejected("no failed callback", "a retry after a retry that succeeded")
def _(hub):
    consumer = hub.consumer()
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert not hub.answer(intent)
    consumer.allow(FOREIGN, word(hub.alice))
    assert hub.call_again(intent)
    hub.retry(intent)


# What a callback may do.


def only_outside(_: HubClient, made: tuple[bool, bool]) -> None:
    """The very same call fails inside of a callback and succeeds outside."""
    assert made == (False, True)


def reentering(name: str) -> None:
    @CASES.accepted(f"{name} in a callback fails, and only there", only_outside)
    def _(hub):
        return hub.reenter(name)


for each in CALLS:
    reentering(each)
