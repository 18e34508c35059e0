"""The example consumer: asks, believes whom it should, and gets its money back."""

from collections.abc import Sequence

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.consumer_solana import Consumer, new_consumer
from support.hub import FOREIGN, Message, word
from support.hub_solana import SolanaHub, camel, person
from support.litesvm import FailedError, LiteChain, Sent
from support.puppet import PUPPET, calling, placed
from support.solana_idl import build

# The program's refusals, by their codes.
ARGUMENTS, ACCOUNTS, NOT_OWNER, NOT_HUB, NOT_ALLOWED, ANOTHER_AGENT, TOO_LONG = range(7000, 7007)


@pytest.fixture
def consumer(hub: SolanaHub) -> Consumer:
    found = new_consumer(hub)
    found.allow(hub.bob, hub.id, bytes(found.authority))
    return found


def lamports(hub: SolanaHub, key: Pubkey) -> int:
    account = hub.chain.account(key)
    assert account
    return account.lamports


def refused(code: int):
    """Expect the program's own refusal."""
    return pytest.raises(FailedError, match=f"Custom.{code}|custom program error: {code:#x}")


def test_a_question_of_the_program_is_answered_paid_for_and_the_rest_collected(consumer: Consumer):
    hub, bob = consumer.hub, consumer.hub.key(consumer.hub.bob)
    intent = consumer.ask(hub.bob)
    assert intent["requester"] == bytes(consumer.authority)
    hub.deliver(intent)
    hub.retry(intent)
    assert consumer.answer() == (hub.intent_id(intent), 0, b"answer")
    # What is left is too little for an account to hold: it goes on to the owner in the same call.
    hub.settle(intent, [(word(hub.carol), 3000)])
    before = lamports(hub, bob)
    consumer.collect(hub.bob)
    assert lamports(hub, bob) == before + 2000 - 5000


def test_the_requests_id_comes_back_to_the_program_that_asks(consumer: Consumer, monkeypatch):
    hub = consumer.hub
    sent: list[Sent] = []
    execute = hub.execute

    def kept(instructions: Sequence[Instruction], *signers: str) -> Sent:
        sent.append(execute(instructions, *signers))
        return sent[-1]

    monkeypatch.setattr(hub, "execute", kept)
    asked = consumer.ask(hub.bob)
    assert sent[-1].returned == hub.intent_id(asked)
    ((name, event),) = hub.program.events(sent[-1].logs)
    assert name == "IntentRequested"
    assert event["nonce"] == 0
    assert camel(event["intent"]) == asked


def test_only_the_owner_asks_allows_and_collects(consumer: Consumer):
    hub = consumer.hub
    with refused(NOT_OWNER):
        consumer.ask(hub.alice)
    with refused(NOT_OWNER):
        consumer.allow(hub.alice, FOREIGN, word(hub.alice))
    with refused(NOT_OWNER):
        consumer.collect(hub.alice)


def test_only_who_may_upgrade_the_program_sets_it_up(hub: SolanaHub):
    placed = Consumer(hub)
    placed.place()
    with refused(NOT_OWNER):
        placed.set_up(hub.alice)


def asked_here(consumer: Consumer) -> Message:
    """What an intent has that the program asked of its own hub."""
    return {
        "originHub": consumer.hub.id,
        "requester": bytes(consumer.authority),
        "callback": bytes(consumer.program),
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"originHub": FOREIGN}, NOT_ALLOWED),
        ({"requester": bytes(person("alice").pubkey())}, NOT_ALLOWED),
        ({"agentId": b"\1" * 32}, ANOTHER_AGENT),
    ],
)
def test_an_answer_to_anyone_elses_question_is_refused(
    consumer: Consumer, changes: Message, code: int
):
    hub = consumer.hub
    mine = asked_here(consumer)
    intent = hub.intent(**(mine | changes))
    hub.deliver(intent)
    with refused(code):
        hub.retry(intent)


def test_an_answer_that_is_too_long_is_refused_and_one_that_just_fits_is_kept(consumer: Consumer):
    hub = consumer.hub
    mine = asked_here(consumer)
    long, fits = hub.intent(**mine), hub.intent(**mine, seq=8)
    hub.deliver(long, output=b"x" * 1025)
    with refused(TOO_LONG):
        hub.retry(long, b"x" * 1025)
    hub.deliver(fits, output=b"x" * 1024)
    hub.retry(fits, b"x" * 1024)
    assert consumer.answer() == (hub.intent_id(fits), 0, b"x" * 1024)


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_is_kept_as_the_fact_that_it_is(consumer: Consumer, status: int):
    hub = consumer.hub
    intent = consumer.ask(hub.bob)
    hub.deliver(intent, hub.attestation(intent, b"", status), b"")
    hub.retry(intent, b"")
    assert consumer.answer() == (hub.intent_id(intent), status, b"")


def test_nobody_but_the_hub_answers(consumer: Consumer, chain: LiteChain):
    """A person, and another program that signs with an address of its own."""
    hub = consumer.hub
    placed(chain)
    intent = hub.intent(**asked_here(consumer))
    data = (
        b"\x17\xf7\xee\xb3\xb6\xe6\x58\x5a"
        + hub.intent_id(intent)
        + b"".join(intent[f] for f in ("originHub", "requester", "agentId", "payloadHash"))
        + bytes(8)
        + (6).to_bytes(4, "little")
        + b"forged"
    )
    alice = hub.key(hub.alice)
    metas = [AccountMeta(alice, True, False), AccountMeta(consumer.state, False, True)]
    with refused(NOT_HUB):
        hub.execute([Instruction(consumer.program, data, metas)], hub.alice)
    theirs, _ = Pubkey.find_program_address([b"vagus"], PUPPET)
    order = calling([AccountMeta(theirs, True, False), metas[1]], data)
    through = [
        AccountMeta(consumer.program, False, False),
        AccountMeta(theirs, False, False),
        metas[1],
    ]
    with refused(NOT_HUB):
        hub.execute([Instruction(PUPPET, order, through)], hub.alice)
    real = AccountMeta(hub.pda(b"callback", bytes(consumer.program)), False, False)
    with refused(NOT_HUB):
        hub.execute([Instruction(consumer.program, data, [real, metas[1]])], hub.alice)


def test_another_hub_that_calls_the_program_is_not_believed(consumer: Consumer, chain: LiteChain):
    """A hub with the same code, a committee of its own and the same program registered."""
    hub = consumer.hub
    impostor = SolanaHub(chain, person("impostor").pubkey(), hub.keys, hub.threshold)
    chain.program(impostor.program.id, build("hub"), impostor.key(impostor.authority))
    impostor.initialize()
    intent = impostor.intent(**asked_here(consumer))
    impostor.deliver(intent)
    # Nothing was registered there, and only the program itself could do it.
    sent = impostor.retry(intent)
    ((_, event),) = impostor.program.events(sent.logs)
    assert event["success"] is False
