"""The callback: what a consumer is called with, and what it may not do."""

import hashlib

import pytest
from solders.instruction import AccountMeta
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from support.contracts import RevertError
from support.hub import DAY, Message
from support.hub_solana import SolanaHub, person, snake
from support.litesvm import FailedError, LiteChain
from support.puppet import FAIL, PUPPET, calling, placed, register, registering
from support.solana_idl import build

SYSTEM = Pubkey.default()


@pytest.fixture
def called(hub: SolanaHub, chain: LiteChain) -> SolanaHub:
    """A hub beside the puppet, which has registered no accounts."""
    placed(chain)
    register(hub, [])
    return hub


def delivered(hub: SolanaHub, output: bytes = b"answer", **changes: object) -> Message:
    """An intent for the puppet that was delivered."""
    intent = hub.intent(callback=bytes(PUPPET), **changes)
    hub.deliver(intent, output=output)
    return intent


def state(hub: SolanaHub, intent: Message) -> int:
    """The callback's outcome: 0 none, 1 succeeded, 2 failed."""
    found = hub.delivery(intent)
    assert found
    return found["callback"]


def test_deliver_never_calls(called: SolanaHub):
    intent = delivered(called, FAIL)
    assert state(called, intent) == 2


def test_an_intent_without_callback_has_none(called: SolanaHub):
    intent = called.intent()
    called.deliver(intent)
    assert state(called, intent) == 0


def test_retry_calls_once_with_success(called: SolanaHub):
    intent = delivered(called)
    sent = called.retry(intent)
    assert state(called, intent) == 1
    event = {"intent_id": called.intent_id(intent), "callback": bytes(PUPPET), "success": True}
    assert called.program.events(sent.logs) == [("CallbackResult", event)]
    with pytest.raises(RevertError, match="no failed callback"):
        called.retry(intent)


def test_a_callback_that_fails_takes_only_its_own_transaction_with_it(called: SolanaHub):
    intent = delivered(called, FAIL)
    with pytest.raises(FailedError):
        called.retry(intent, FAIL)
    assert state(called, intent) == 2


def test_a_callback_that_burns_all_units_is_recorded_as_failed_still(called: SolanaHub):
    intent = delivered(called, b"spin")
    with pytest.raises(FailedError):
        called.retry(intent, b"spin")
    assert state(called, intent) == 2


def test_the_data_is_what_the_docs_say(called: SolanaHub):
    output = bytes(range(256)) * 32
    intent = delivered(called, output)
    sent = called.retry(intent, output)
    named = hashlib.sha256(b"global:on_result").digest()[:8] + called.intent_id(intent)
    asked = b"".join(intent[f] for f in ("originHub", "requester", "agentId", "payloadHash"))
    assert sent.inner == [named + asked + bytes(8) + len(output).to_bytes(4, "little") + output]


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_and_a_failure_are_called_back_too(called: SolanaHub, status: int):
    intent = called.intent(callback=bytes(PUPPET))
    called.deliver(intent, called.attestation(intent, b"", status), b"")
    called.retry(intent, b"")
    assert state(called, intent) == 1


def test_more_callback_gas_than_the_maximum_is_not_called(called: SolanaHub):
    intent = delivered(called, callbackGas=called.config["maxCallbackGas"] + 1)
    sent = called.retry(intent)
    assert state(called, intent) == 2
    ((_, event),) = called.program.events(sent.logs)
    assert event["success"] is False
    assert f"Program {PUPPET} invoke [2]" not in sent.logs


@pytest.mark.parametrize("what", ["a program that has not registered", "a person", "nobody"])
def test_a_callback_that_cannot_be_called_is_not(hub: SolanaHub, chain: LiteChain, what: str):
    placed(chain)
    key = {"a person": hub.key(hub.carol), "nobody": person("nobody").pubkey()}.get(what, PUPPET)
    intent = hub.intent(callback=bytes(key))
    hub.deliver(intent)
    sent = hub.retry(intent)
    ((_, event),) = hub.program.events(sent.logs)
    assert event["success"] is False
    assert state(hub, intent) == 2


def test_a_registered_callback_is_not_passed_over_by_hiding_its_registry(called: SolanaHub):
    intent = delivered(called)
    accounts = {
        "caller": called.key(called.node),
        "delivery": called.pda(b"delivery", called.intent_id(intent)),
        "registry": person("nothing here").pubkey(),
        "consumer": PUPPET,
        "callback_signer": called.pda(b"callback", bytes(PUPPET)),
    }
    with pytest.raises(RevertError, match="wrong account"):
        called.call("retry", called.node, accounts, intent=snake(intent), output=b"answer")


def test_the_hub_does_not_call_itself(hub: SolanaHub):
    intent = hub.intent(callback=bytes(hub.program.id))
    hub.deliver(intent)
    with pytest.raises(RevertError, match="callback account of the hub"):
        hub.retry(intent)


# Accounts that the consumer registers.


def test_registered_accounts_come_in_order_and_with_their_rights(called: SolanaHub):
    first, second = person("one").pubkey(), person("two").pubkey()
    register(called, [(first, True), (second, False)])
    intent = delivered(called)
    right = [AccountMeta(first, False, True), AccountMeta(second, False, False)]
    for wrong in (
        right[::-1],
        right[:1],
        [*right, right[0]],
        [AccountMeta(first, False, False), right[1]],
        [],
    ):
        with pytest.raises(RevertError, match="callback accounts differ"):
            called.retry(intent, more=wrong)
    called.retry(intent, more=right)
    assert state(called, intent) == 1


def test_a_read_only_account_is_not_writable_for_the_consumer(called: SolanaHub):
    """Even where the transaction itself may write it: the puppet asks for it, the runtime refuses."""
    payer = called.key(called.bob)
    register(called, [(SYSTEM, False), (person("one").pubkey(), False), (payer, False)])
    metas = [AccountMeta(person("one").pubkey(), False, True), AccountMeta(payer, False, True)]
    order = calling(metas, b"")
    intent = delivered(called, order)
    with pytest.raises(FailedError, match="PrivilegeEscalation"):
        called.retry(intent, order)


def test_a_consumer_that_asks_for_the_fee_payers_rights_is_refused(called: SolanaHub):
    node = called.key(called.node)
    register(called, [(SYSTEM, False), (node, True)])
    intent = delivered(called)
    with pytest.raises(RevertError, match="callback account signs"):
        called.retry(intent)
    assert state(called, intent) == 2


def test_a_consumer_cannot_sign_for_an_account_that_it_registered(called: SolanaHub):
    carol, mine = called.key(called.carol), person("thief").pubkey()
    register(called, [(SYSTEM, False), (carol, True), (mine, True)])
    theft = transfer(TransferParams(from_pubkey=carol, to_pubkey=mine, lamports=10**6))
    order = calling(theft.accounts, bytes(theft.data))
    intent = delivered(called, order)
    with pytest.raises(FailedError, match="PrivilegeEscalation"):
        called.retry(intent, order)
    assert called.chain.account(mine) is None


def test_the_callback_signer_is_never_writable(called: SolanaHub, chain: LiteChain):
    """So that nobody spends what somebody sent it."""
    signer = called.pda(b"callback", bytes(PUPPET))
    chain.fund(signer, 10**9)
    register(called, [(SYSTEM, False), (signer, True)])
    intent = delivered(called)
    with pytest.raises(RevertError, match="callback account signs"):
        called.retry(intent)
    register(called, [])
    called.retry(intent)
    account = chain.account(signer)
    assert account
    assert account.lamports == 10**9


@pytest.mark.parametrize("kind", ["config", "signers", "delivery", "credit", "registry"])
def test_an_account_of_the_hub_is_never_handed_to_a_consumer(called: SolanaHub, kind: str):
    intent = called.intent(callback=bytes(PUPPET))
    called.deliver(intent)
    called.ask()
    key = {
        "config": called.pda(b"config"),
        "signers": called.signers_of(called.epoch),
        "delivery": called.pda(b"delivery", called.intent_id(intent)),
        "credit": called.credit_of(bytes(called.key(called.alice))),
        "registry": called.pda(b"registry", bytes(PUPPET)),
    }[kind]
    register(called, [(key, False)])
    with pytest.raises(RevertError, match="callback account of the hub"):
        called.retry(intent)


def test_a_callback_that_reenters_the_hub_fails(called: SolanaHub):
    """By the view, which no account is needed for: the runtime lets no program come back."""
    register(called, [(called.program.id, False)])
    values = {"kind": 5, "hub_id": bytes(32), "message": bytes(4)}
    view = called.program.call("digest", {}, called.program.arguments("digest", values))
    order = calling([], bytes(view.data))
    intent = delivered(called, order)
    with pytest.raises(FailedError, match="ReentrancyNotAllowed"):
        called.retry(intent, order)
    assert state(called, intent) == 2


def test_more_accounts_than_a_consumer_may_register_are_rejected(
    called: SolanaHub, chain: LiteChain
):
    listed = [(person(f"account {i}").pubkey(), i % 2 == 0) for i in range(17)]
    with pytest.raises(RevertError, match="too many accounts"):
        register(called, listed)
    register(called, listed[:16])
    chain.look_up([key for key, _ in listed])
    intent = delivered(called)
    called.retry(intent)
    assert state(called, intent) == 1


def test_a_registration_replaces_the_one_before(called: SolanaHub):
    register(called, [(person("one").pubkey(), True), (person("two").pubkey(), True)])
    register(called, [(person("three").pubkey(), False)])
    found = called.read("Registry", called.pda(b"registry", bytes(PUPPET)))
    assert found
    assert found["count"] == 1
    assert found["accounts"][0] == {"key": bytes(person("three").pubkey()), "writable": False}


def test_nobody_registers_for_another_program(called: SolanaHub, chain: LiteChain):
    """The puppet signs for itself, and names another program as the consumer."""
    other = person("other").pubkey()
    chain.program(other, build("consumer"), None)
    with pytest.raises(RevertError, match="not the consumer"):
        called.execute([registering(called, [], other)], called.bob)


def test_a_person_is_no_consumer(called: SolanaHub):
    """Though the person signs for itself."""
    bob = called.key(called.bob)
    accounts = {
        "payer": bob,
        "authority": bob,
        "consumer": bob,
        "registry": called.pda(b"registry", bytes(bob)),
    }
    with pytest.raises(RevertError, match="not the consumer"):
        called.call("register", called.bob, accounts, accounts=[])


def test_another_program_is_called_with_a_signer_of_its_own(called: SolanaHub, chain: LiteChain):
    """No consumer can use a call of its own to look like the hub to another one."""
    mine = called.pda(b"callback", bytes(PUPPET))
    others = called.pda(b"callback", bytes(person("other").pubkey()))
    assert mine != others
    register(called, [(person("other").pubkey(), False), (others, False)])
    chain.program(person("other").pubkey(), build("consumer"), None)
    order = calling([AccountMeta(others, True, False)], b"")
    intent = delivered(called, order)
    with pytest.raises(FailedError, match="PrivilegeEscalation"):
        called.retry(intent, order)


def test_the_retry_window_ends(called: SolanaHub):
    intent = delivered(called)
    called.at(called.now + 7 * DAY)
    called.retry(intent)
    late = delivered(called, seq=8)
    called.at(called.now + 7 * DAY + 1)
    with pytest.raises(RevertError, match="retry too late"):
        called.retry(late)


def test_anyone_may_retry(called: SolanaHub):
    intent = delivered(called)
    called.node = called.carol
    called.retry(intent)
    assert state(called, intent) == 1
