"""The example consumer: asks, believes whom it should, and gets its money back."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from support.hub import AGENT, FOREIGN, Message, word
from support.hub_solana import SolanaHub, camel, person
from support.litesvm import LOADER, FailedError, LiteChain, Sent
from support.puppet import PUPPET, calling, placed
from support.solana_idl import build

PROGRAM = person("consumer").pubkey()
STATE, _ = Pubkey.find_program_address([b"state"], PROGRAM)
AUTHORITY, _ = Pubkey.find_program_address([b"vagus"], PROGRAM)
DATA, _ = Pubkey.find_program_address([bytes(PROGRAM)], LOADER)
SIZE = 1 + 32 * 4 + 4 * 64 + 32 + 8 + 4 + 1024
# The program's refusals, by their codes.
ARGUMENTS, ACCOUNTS, NOT_OWNER, NOT_HUB, NOT_ALLOWED, ANOTHER_AGENT, TOO_LONG = range(7000, 7007)


@dataclass
class Consumer:
    """The program beside its hub; bob owns it."""

    hub: SolanaHub
    chain: LiteChain

    def meta(self, key: Pubkey, flags: str = "") -> AccountMeta:
        return AccountMeta(key, "s" in flags, "w" in flags)

    def send(self, who: str, byte: int, data: bytes, *metas: AccountMeta) -> Sent:
        """One of the program's own instructions."""
        first = self.meta(self.hub.key(who), "sw")
        return self.hub.execute([Instruction(PROGRAM, bytes([byte]) + data, [first, *metas])], who)

    def set_up(self, who: str) -> Sent:
        """The rent first, then the program."""
        hub = self.hub
        rent = self.chain.svm.minimum_balance_for_rent_exemption(SIZE)
        payer = hub.key(who)
        paid = transfer(TransferParams(from_pubkey=payer, to_pubkey=STATE, lamports=rent))
        metas = [
            self.meta(payer, "sw"),
            self.meta(DATA),
            self.meta(STATE, "w"),
            self.meta(AUTHORITY),
            self.meta(PROGRAM),
            self.meta(hub.program.id),
            self.meta(hub.pda(b"registry", bytes(PROGRAM)), "w"),
            self.meta(Pubkey.default()),
        ]
        return hub.execute([paid, Instruction(PROGRAM, b"\0" + AGENT, metas)], who)

    def allow(self, who: str, origin: bytes, requester: bytes) -> Sent:
        return self.send(who, 1, origin + requester, self.meta(STATE, "w"))

    def ask(self, who: str, **changes: object) -> Message:
        """Ask through the program; the intent as its account has it."""
        hub = self.hub
        asked = {
            "nonce": 0,
            "agent_id": AGENT,
            "model_digest": bytes(32),
            "min_signers": 0,
            "dest_hub": hub.id,
            "callback": bytes(PROGRAM),
            "callback_gas": 100_000,
            "deadline": hub.now + 3600,
            "fee": 5000,
            "payload": b"question",
            "terms": b"",
        } | changes
        place = hub.pda(b"intent", bytes(AUTHORITY), 0)
        self.send(
            who,
            2,
            hub.program.arguments("request", asked),
            self.meta(STATE, "w"),
            self.meta(AUTHORITY),
            self.meta(hub.program.id),
            self.meta(hub.pda(b"config"), "w"),
            self.meta(place, "w"),
            self.meta(hub.credit_of(bytes(AUTHORITY)), "w"),
            self.meta(Pubkey.default()),
        )
        record = hub.read("Escrow", place)
        assert record
        hub.nonces[record["intent_id"]] = 0
        return camel(record["intent"])

    def collect(self, who: str) -> Sent:
        hub = self.hub
        return self.send(
            who,
            3,
            b"",
            self.meta(STATE, "w"),
            self.meta(AUTHORITY, "w"),
            self.meta(hub.program.id),
            self.meta(hub.credit_of(bytes(AUTHORITY)), "w"),
            self.meta(Pubkey.default()),
        )

    def lamports(self, key: Pubkey) -> int:
        account = self.chain.account(key)
        assert account
        return account.lamports

    def answer(self) -> tuple[bytes, int, bytes]:
        """The newest answer: its intent, status and output."""
        account = self.hub.chain.account(STATE)
        assert account
        data = bytes(account.data)[1 + 32 * 4 + 4 * 64 :]
        length = int.from_bytes(data[40:44], "little")
        return data[:32], int.from_bytes(data[32:40], "little"), data[44 : 44 + length]


@pytest.fixture
def consumer(hub: SolanaHub, chain: LiteChain) -> Consumer:
    chain.program(PROGRAM, build("consumer"), hub.key(hub.bob))
    found = Consumer(hub, chain)
    found.set_up(hub.bob)
    found.allow(hub.bob, hub.id, bytes(AUTHORITY))
    return found


def refused(code: int):
    """Expect the program's own refusal."""
    return pytest.raises(FailedError, match=f"Custom.{code}|custom program error: {code:#x}")


def test_a_question_of_the_program_is_answered_paid_for_and_the_rest_collected(consumer: Consumer):
    hub, bob = consumer.hub, consumer.hub.key(consumer.hub.bob)
    intent = consumer.ask(hub.bob)
    assert intent["requester"] == bytes(AUTHORITY)
    hub.deliver(intent)
    hub.retry(intent)
    assert consumer.answer() == (hub.intent_id(intent), 0, b"answer")
    # What is left is too little for an account to hold: it goes on to the owner in the same call.
    hub.settle(intent, [(word(hub.carol), 3000)])
    before = consumer.lamports(bob)
    consumer.collect(hub.bob)
    assert consumer.lamports(bob) == before + 2000 - 5000


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


def test_only_who_may_upgrade_the_program_sets_it_up(hub: SolanaHub, chain: LiteChain):
    chain.program(PROGRAM, build("consumer"), hub.key(hub.bob))
    with refused(NOT_OWNER):
        Consumer(hub, chain).set_up(hub.alice)


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
    mine = {"originHub": hub.id, "requester": bytes(AUTHORITY), "callback": bytes(PROGRAM)}
    intent = hub.intent(**(mine | changes))
    hub.deliver(intent)
    with refused(code):
        hub.retry(intent)


def test_an_answer_that_is_too_long_is_refused_and_one_that_just_fits_is_kept(consumer: Consumer):
    hub = consumer.hub
    mine = {"originHub": hub.id, "requester": bytes(AUTHORITY), "callback": bytes(PROGRAM)}
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
    intent = hub.intent(originHub=hub.id, requester=bytes(AUTHORITY), callback=bytes(PROGRAM))
    data = (
        b"\x17\xf7\xee\xb3\xb6\xe6\x58\x5a"
        + hub.intent_id(intent)
        + b"".join(intent[f] for f in ("originHub", "requester", "agentId", "payloadHash"))
        + bytes(8)
        + (6).to_bytes(4, "little")
        + b"forged"
    )
    alice = hub.key(hub.alice)
    metas = [AccountMeta(alice, True, False), AccountMeta(STATE, False, True)]
    with refused(NOT_HUB):
        hub.execute([Instruction(PROGRAM, data, metas)], hub.alice)
    theirs, _ = Pubkey.find_program_address([b"vagus"], PUPPET)
    order = calling([AccountMeta(theirs, True, False), metas[1]], data)
    through = [AccountMeta(PROGRAM, False, False), AccountMeta(theirs, False, False), metas[1]]
    with refused(NOT_HUB):
        hub.execute([Instruction(PUPPET, order, through)], hub.alice)
    real = AccountMeta(hub.pda(b"callback", bytes(PROGRAM)), False, False)
    with refused(NOT_HUB):
        hub.execute([Instruction(PROGRAM, data, [real, metas[1]])], hub.alice)


def test_another_hub_that_calls_the_program_is_not_believed(consumer: Consumer, chain: LiteChain):
    """A hub with the same code, a committee of its own and the same program registered."""
    hub = consumer.hub
    impostor = SolanaHub(chain, person("impostor").pubkey(), hub.keys, hub.threshold)
    chain.program(impostor.program.id, build("hub"), impostor.key(impostor.authority))
    impostor.initialize()
    intent = impostor.intent(originHub=hub.id, requester=bytes(AUTHORITY), callback=bytes(PROGRAM))
    impostor.deliver(intent)
    # Nothing was registered there, and only the program itself could do it.
    sent = impostor.retry(intent)
    ((_, event),) = impostor.program.events(sent.logs)
    assert event["success"] is False
