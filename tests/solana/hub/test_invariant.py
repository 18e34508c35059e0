"""Whatever is called in whatever order, every account holds its rent and what is owed, and no more."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.contracts import RevertError
from support.hub import Message, members, word
from support.hub_solana import SolanaHub, new_solana_hub
from support.litesvm import LiteChain

SETS = [members(3, f"set {i}") for i in range(4)]


class Economy(RuleBasedStateMachine):
    """The hub beside a model of what everyone is owed."""

    intents = Bundle("intents")

    def __init__(self) -> None:
        super().__init__()
        self.chain = LiteChain()
        self.hub: SolanaHub = new_solana_hub(self.chain, self.chain.program, SETS[0], 2)
        self.people = [self.hub.alice, self.hub.bob, self.hub.node, self.hub.carol]
        self.credits = dict.fromkeys(self.people, 0)
        self.escrows: dict[bytes, int] = {}
        self.asked: list[Message] = []
        self.closed: set[bytes] = set()
        self.delivered: set[bytes] = set()
        self.turn = 0  # how often the committee was rotated
        self.until = 0  # when the previous set stops counting

    def attempt(self, allowed: bool, call: Any) -> bool:
        """Make a call that must succeed exactly if the model says so."""
        failed = None
        try:
            call()
        except RevertError as error:
            failed = error.reason
        assert (failed is None) == allowed, failed
        return allowed

    def signing(self, previous: bool) -> tuple[list[Any], int, bool]:
        """A set's keys, its epoch and whether it counts."""
        if not previous:
            return SETS[self.turn][:2], self.hub.epoch, True
        counts = self.turn > 0 and self.hub.now <= self.until
        return SETS[max(self.turn - 1, 0)][:2], self.hub.epoch - 1, counts

    @rule(
        target=intents,
        who=st.integers(0, 3),
        fee=st.integers(1000, 10**9),
        life=st.integers(70, 5000),
        size=st.sampled_from([0, 1, 700, 3000]),
        elsewhere=st.booleans(),
    )
    def request(self, who: int, fee: int, life: int, size: int, elsewhere: bool) -> Message:
        changes: dict[str, Any] = {} if elsewhere else {"destHub": self.hub.id}
        deadline = self.hub.now + life
        asked = self.hub.ask(
            sender=self.people[who], fee=fee, payload=bytes(size), deadline=deadline, **changes
        )
        self.escrows[self.hub.intent_id(asked)] = fee
        self.asked.append(asked)
        return asked

    @rule(intent=intents, previous=st.booleans())
    def deliver(self, intent: Message, previous: bool) -> None:
        keys, epoch, counts = self.signing(previous)
        attestation = self.hub.attestation(intent, epoch=epoch)
        signatures = self.hub.sign("Attestation", attestation, keys)
        intent_id = self.hub.intent_id(intent)
        allowed = (
            counts
            and intent["destHub"] == self.hub.id
            and intent_id not in self.delivered
            and self.hub.now <= intent["deadline"]
        )
        if self.attempt(
            allowed, lambda: self.hub.deliver(intent, attestation, b"answer", signatures)
        ):
            self.delivered.add(intent_id)

    @rule(
        intent=intents,
        previous=st.booleans(),
        shares=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=5),
    )
    def settle(self, intent: Message, previous: bool, shares: list[tuple[int, int]]) -> None:
        keys, epoch, counts = self.signing(previous)
        intent_id, fee = self.hub.intent_id(intent), intent["maxFee"]
        payouts = [(word(self.people[who]), fee * share // 1000) for who, share in shares]
        receipt = self.hub.receipt(intent, payouts, epoch=epoch, expiry=2**63)
        signatures = self.hub.sign("Receipt", receipt, keys)
        paid = sum(amount for _, amount in payouts)
        allowed = counts and intent_id in self.escrows and paid <= fee
        if self.attempt(allowed, lambda: self.hub.settle(intent, payouts, receipt, signatures)):
            del self.escrows[intent_id]
            for (who, _), (_, amount) in zip(shares, payouts, strict=True):
                self.credits[self.people[who]] += amount
            self.credits[self.requester(intent)] += fee - paid

    def requester(self, intent: Message) -> str:
        """The account that asked."""
        return next(a for a in self.people if word(a) == intent["requester"])

    @rule(intent=intents, in_time=st.booleans())
    def refund(self, intent: Message, in_time: bool) -> None:
        due = intent["deadline"] + self.hub.config["grace"] + 1
        if in_time:
            self.hub.at(max(due, self.hub.now))
        intent_id = self.hub.intent_id(intent)
        allowed = self.hub.now >= due and intent_id in self.escrows
        if self.attempt(allowed, lambda: self.hub.refund(intent)):
            self.credits[self.requester(intent)] += self.escrows.pop(intent_id)

    @rule(intent=intents)
    def close(self, intent: Message) -> None:
        intent_id = self.hub.intent_id(intent)
        late = self.hub.now > intent["deadline"] + self.hub.config["grace"]
        allowed = late and intent_id not in self.escrows and intent_id not in self.closed
        payer = self.requester(intent)
        if self.attempt(allowed, lambda: self.hub.close_intent(intent, payer)):
            self.closed.add(intent_id)

    @rule(who=st.integers(0, 3))
    def withdraw(self, who: int) -> None:
        account = self.people[who]
        allowed = self.credits[account] > 0
        if self.attempt(allowed, lambda: self.hub.send("withdraw", sender=account)):
            self.credits[account] = 0

    @precondition(lambda self: self.turn + 1 < len(SETS))
    @rule()
    def rotate(self) -> None:
        rotation = self.hub.rotation(SETS[self.turn + 1], 2)
        signatures = self.hub.sign("Rotation", rotation, SETS[self.turn][:2])
        self.hub.rotate(SETS[self.turn + 1], 2, rotation, signatures)
        self.turn += 1
        self.until = self.hub.now + self.hub.config["grace"]

    @rule(seconds=st.integers(1, 4000))
    def wait(self, seconds: int) -> None:
        self.hub.at(self.hub.now + seconds)

    @rule(intent=intents, amount=st.integers(1, 10**7))
    def dust(self, intent: Message, amount: int) -> None:
        """Somebody sends lamports to an intent's account, which change nothing."""
        place = self.hub.place(self.hub.intent_id(intent), intent["requester"])
        if self.hub.intent_id(intent) not in self.closed:
            self.chain.fund(place, 10**6 + amount)

    @invariant()
    def every_account_holds_what_is_owed(self) -> None:
        rent = self.chain.svm.minimum_balance_for_rent_exemption
        for account in self.people:
            assert self.hub.credit(account) == self.credits[account]
            found = self.chain.account(self.hub.credit_of(word(account)))
            if found is not None:
                assert found.lamports == rent(48) + self.credits[account]
        for intent in self.asked:
            intent_id = self.hub.intent_id(intent)
            escrow = self.hub.escrow(intent)
            if intent_id in self.closed:
                assert escrow is None
                continue
            assert escrow
            assert escrow["amount"] == self.escrows.get(intent_id, 0)
            place = self.hub.place(intent_id, intent["requester"])
            found = self.chain.account(place)
            assert found
            assert found.lamports >= rent(len(found.data)) + escrow["amount"]


def test_every_account_holds_its_rent_and_what_is_owed():
    run_state_machine_as_test(
        Economy,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
