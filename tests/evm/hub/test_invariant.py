"""Whatever is called in whatever order, credits and open escrows are the hub's balance."""

from typing import Any

from eth_account.signers.local import LocalAccount
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

from support.anvil import Anvil
from support.contracts import RevertError
from support.hub import Message, members, new_hub, word

SETS = [members(3, f"set {i}") for i in range(8)]


class Economy(RuleBasedStateMachine):
    """The hub beside a model of what everyone is owed."""

    intents = Bundle("intents")
    chain: Anvil

    def __init__(self) -> None:
        super().__init__()
        self.undone = self.chain.undone()
        self.undone.__enter__()
        self.hub = new_hub(self.chain, SETS[0], 2, self.chain.accounts[1])
        self.people = self.chain.accounts[2:6]
        self.credits = dict.fromkeys(self.people, 0)
        self.open: dict[bytes, int] = {}
        self.delivered: set[bytes] = set()
        self.turn = 0  # how often the committee was rotated
        self.until = 0  # when the previous set stops counting
        self.paused = False

    def attempt(self, allowed: bool, call: Any) -> bool:
        """Make a call that must succeed exactly if the model says so."""
        failed = None
        try:
            call()
        except RevertError as error:
            failed = error.reason
        assert (failed is None) == allowed, failed
        return allowed

    def signers(self, previous: bool) -> tuple[list[LocalAccount], int, bool]:
        """A set's keys, its epoch and whether it counts in the next block."""
        if not previous:
            return SETS[self.turn][:2], self.hub.epoch, True
        counts = self.turn > 0 and self.hub.now + 1 <= self.until
        return SETS[max(self.turn - 1, 0)][:2], self.hub.epoch - 1, counts

    @rule(
        target=intents,
        who=st.integers(0, 3),
        fee=st.integers(1000, 10**20),
        life=st.integers(70, 5000),
        elsewhere=st.booleans(),
    )
    def request(self, who: int, fee: int, life: int, elsewhere: bool) -> Message:
        changes = {"deadline": self.hub.now + life} | (
            {} if elsewhere else {"destHub": self.hub.id}
        )
        asked: list[Message] = []

        def ask() -> None:
            asked.append(self.hub.ask(sender=self.people[who], fee=fee, **changes))

        if not self.attempt(not self.paused, ask):
            return {}
        self.open[self.hub.intent_id(asked[0])] = fee
        return asked[0]

    @rule(intent=intents, previous=st.booleans())
    def deliver(self, intent: Message, previous: bool) -> None:
        if not intent:  # a request that was made while paused
            return
        keys, epoch, counts = self.signers(previous)
        attestation = self.hub.attestation(intent, epoch=epoch)
        signatures = self.hub.sign("Attestation", attestation, keys)
        id_ = self.hub.intent_id(intent)
        allowed = (
            counts
            and not self.paused
            and intent["destHub"] == self.hub.id
            and id_ not in self.delivered
            and self.hub.now + 1 <= intent["deadline"]
        )
        if self.attempt(
            allowed, lambda: self.hub.deliver(intent, attestation, b"answer", signatures)
        ):
            self.delivered.add(id_)

    @rule(
        intent=intents,
        previous=st.booleans(),
        shares=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=5),
    )
    def settle(self, intent: Message, previous: bool, shares: list[tuple[int, int]]) -> None:
        if not intent:
            return
        keys, epoch, counts = self.signers(previous)
        id_ = self.hub.intent_id(intent)
        fee = intent["maxFee"]
        payouts = [(word(self.people[who]), fee * share // 1000) for who, share in shares]
        receipt = self.hub.receipt(intent, payouts, epoch=epoch, expiry=2**63)
        signatures = self.hub.sign("Receipt", receipt, keys)
        paid = sum(amount for _, amount in payouts)
        allowed = counts and not self.paused and id_ in self.open and paid <= fee
        if self.attempt(allowed, lambda: self.hub.settle(intent, payouts, receipt, signatures)):
            del self.open[id_]
            for (who, _), (_, amount) in zip(shares, payouts, strict=True):
                self.credits[self.people[who]] += amount
            self.credits[self.requester(intent)] += fee - paid

    def requester(self, intent: Message) -> str:
        """The account that asked."""
        return next(a for a in self.people if word(a) == intent["requester"])

    @rule(intent=intents, in_time=st.booleans())
    def refund(self, intent: Message, in_time: bool) -> None:
        if not intent:
            return
        due = intent["deadline"] + self.hub.config["grace"] + 1
        if in_time:
            self.wait(max(due - self.hub.now, 1))
        id_ = self.hub.intent_id(intent)
        allowed = self.hub.now + 1 >= due and id_ in self.open
        if self.attempt(allowed, lambda: self.hub.refund(intent)):
            self.credits[self.requester(intent)] += self.open.pop(id_)

    @precondition(lambda self: any(self.credits.values()))
    @rule(who=st.integers(0, 3))
    def withdraw(self, who: int) -> None:
        account = self.people[who]
        allowed = self.credits[account] > 0
        if self.attempt(allowed, lambda: self.hub.send("withdraw", sender=account)):
            self.credits[account] = 0

    @precondition(lambda self: self.turn + 1 < len(SETS))
    @rule()
    def rotate(self) -> None:
        keys = SETS[self.turn + 1]
        rotation = self.hub.rotation(keys, 2)
        signatures = self.hub.sign("Rotation", rotation, SETS[self.turn][:2])
        self.hub.rotate(keys, 2, rotation, signatures)
        self.turn += 1
        self.until = self.hub.now + self.hub.config["grace"]

    @precondition(lambda self: not self.paused and self.open)
    @rule()
    def pause(self) -> None:
        self.hub.send("pause", sender=self.hub.guardian)
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def unpause(self) -> None:
        self.hub.send("unpause", sender=self.hub.guardian)
        self.paused = False

    @rule(seconds=st.integers(1, 4000))
    def wait(self, seconds: int) -> None:
        self.hub.at(self.hub.now + seconds)
        self.hub.anvil.rpc("evm_mine")

    @invariant()
    def credits_and_open_escrows_are_the_balance(self) -> None:
        balance = self.chain.web3.eth.get_balance(self.hub.contract.address)
        assert sum(self.credits.values()) + sum(self.open.values()) == balance

    def teardown(self) -> None:
        try:
            for account, credit in self.credits.items():
                assert self.hub.view("credit", account) == credit
            for id_, fee in self.open.items():
                state = self.hub.view("intentState", id_)
                assert (state["state"], state["escrow"]) == (1, fee)
        finally:
            self.undone.__exit__(None, None, None)


def test_credits_and_open_escrows_are_the_balance_after_any_calls(anvil: Anvil):
    machine = type("EconomyOnAnvil", (Economy,), {"chain": anvil})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
