"""What the table asks of a Solana hub beside its calls, in the words of `on_evm`.

The chain may be LiteSVM or a node. `deliver` never calls back here, so that an answer is a delivery
and a retry, and a callback that fails takes the retry's transaction with it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from web3 import Web3

from support import consumer_solana
from support.hub import Message, members, word
from support.hub_cases.table import Dialect, Difference
from support.hub_solana import Chain, SolanaHub, camel, person
from support.litesvm import FailedError, Sent
from support.puppet import AUTHORITY, FAIL, SPIN, calling, placed, register, through
from support.solana_idl import build
from support.solana_scene import recorded

__all__ = ["DIALECT", "Consumer", "Puppet", "SolanaTableHub", "bare", "on_solana"]

ANY_WORD = Difference("every word of 32 bytes is an address there")
DIALECT = Dialect(
    bounds={
        "a payload over 8,192 bytes": "payload too long",
        "terms over 1,024 bytes": "terms too long",
        "an output over 8,192 bytes": "output too long",
        "a signature of 66 bytes": "signature length",
        "33 signatures": "too many signatures",
        "a set of 33": "too many signers",
        "a first set of 33": "too many signers",
        "35 payouts": "too many payouts",
        "payouts whose sum overflows": "payouts do not sum",
    },
    different={
        "a payout to a word that is no address of this chain": ANY_WORD,
        "a payout to an address with one byte too many": ANY_WORD,
        "a delivery with too little gas for its callback": Difference(
            "deliver never calls there; a starved retry fails as a whole, by the runtime's word",
            "ProgramFailedToComplete",
        ),
        "a withdrawal that its receiver refuses": Difference("nobody there can refuse lamports"),
        "a delivery 136 years after the deployment": Difference("a record holds all times there"),
    },
    absent=dict.fromkeys(
        (
            "every call but refund and withdraw on a fork with another id",
            "refund and withdraw on a fork with another id",
        ),
        "a program can't read which cluster it runs on: its hub was told its id at initialize",
    ),
)
NEXT = members(2, "next")
STATES = ("unknown", "open", "settled", "refunded")
OUTCOMES = ("none", "succeeded", "failed")
OUTPUTS = {"accept": b"answer", "fail": FAIL, "burn": SPIN}
STARVED = 60_000  # compute units with which a callback begins and does not end


def bare(
    chain: Chain, keys: list[LocalAccount], threshold: int, *, upgraded_by: str | None = "authority"
) -> "SolanaTableHub":
    """A hub's program that is not initialized, at an address of its own."""
    chain.hubs += 1
    program = person(f"hub {chain.hubs}").pubkey()
    chain.program(program, build("hub"), person(upgraded_by).pubkey() if upgraded_by else None)
    return SolanaTableHub(chain, program, keys, threshold)


def on_solana(
    chain: Chain, keys: list[LocalAccount], threshold: int, **settings: Any
) -> "SolanaTableHub":
    """A fresh hub with this first set."""
    hub = bare(chain, keys, threshold)
    hub.initialize(**settings)
    return hub


class SolanaTableHub(SolanaHub):
    """A hub that also says in the table's words what it keeps, and has programs to call back."""

    last: Sent

    def execute(self, instructions: Sequence[Instruction], *signers: str) -> Sent:
        self.last = super().execute(instructions, *signers)
        return self.last

    # What it keeps and tells.

    @property
    def word(self) -> bytes:
        return bytes(self.program.id)

    @property
    def settings(self) -> Message:
        found = self.config
        return found | {"pendingGuardian": found["candidate"]}

    @property
    def committee(self) -> Message:
        config = self.config
        record = self.read("SignerSet", self.signers_of(config["epoch"]))
        assert record
        return {
            "epoch": config["epoch"],
            "threshold": record["threshold"],
            "signers": self.set_of(config["epoch"]),
            "rosterHash": record["roster_hash"],
            "previousUntil": config["previousUntil"],
        }

    def set_of(self, epoch: int) -> list[bytes]:
        record = self.read("SignerSet", self.signers_of(epoch))
        packed = record["rest"] if record else b""
        return [packed[at : at + 20] for at in range(0, len(packed), 20)]

    def intent_of(self, intent: Message) -> Message | None:
        found = self.escrow(intent)
        if found is None:
            return None
        state = STATES[found["state"]]
        return {
            "requester": found["intent"]["requester"],
            "deadline": found["intent"]["deadline"],
            # The fee's amount stays in the record; its lamports are there while it is open.
            "escrow": found["amount"] if state == "open" else 0,
            "state": state,
        }

    def delivery_of(self, intent: Message) -> Message | None:
        found = self.delivery(intent)
        if found is None:
            return None
        names = ("deliveredAt", "status", "outputHash", "evidenceHash", "epoch", "signers")
        record = camel(found)
        outcome = {"deliverer": record["deliverer"], "callback": OUTCOMES[record["callback"]]}
        return {name: record[name] for name in names} | outcome

    def owed(self, account: bytes) -> int:
        found = self.read("Credit", self.credit_of(account))
        return found["amount"] if found else 0

    def balance(self, account: str) -> int:
        found = self.chain.account(self.key(account))
        return found.lamports if found else 0

    def cost(self) -> int:
        return 5000  # lamports a signature, and every call has one

    def told(self, name: str) -> list[Message]:
        found = [
            camel(fields) for kind, fields in self.program.events(self.last.logs) if kind == name
        ]
        if name == "IntentRequested":
            found = [event | {"intent": camel(event["intent"])} for event in found]
        return found

    def words_of(self, intent: Message) -> tuple[bytes, bytes]:
        found = self.escrow(intent)
        assert found
        return found["payload"], found["terms"]

    # Other hubs.

    def again(self, keys: list[LocalAccount], threshold: int, **settings: Any) -> "SolanaTableHub":
        return on_solana(self.chain, keys, threshold, **settings)

    # Callbacks.

    def answer(self, intent: Message, *arguments: Any, **options: Any) -> bool:
        self.deliver(intent, *arguments, **options)
        output = arguments[1] if len(arguments) > 1 else options.get("output", b"answer")
        return self.call_again(intent, output)

    def call_again(self, intent: Message, output: bytes = b"answer") -> bool:
        try:
            self.retry(intent, output)
        except FailedError:
            # The callback's own failure: the hub's own would be a `RevertError`.
            return False
        (event,) = self.told("CallbackResult")
        return event["success"]

    def starve(self, intent: Message) -> None:
        self.deliver(intent, output=SPIN)
        self.chain.units, most = STARVED, self.chain.units
        try:
            self.retry(intent, SPIN)
        finally:
            self.chain.units = most

    def consumer(self) -> "Consumer":
        return Consumer(self)

    def puppet(self, act: str = "accept") -> "Puppet":
        return Puppet(self, act)

    def reenter(self, name: str) -> tuple[bool, bool]:
        puppet = self.puppet()
        # No account of the hub is ever handed to a callback: the call has its data alone.
        register(self, [(self.program.id, False)])
        call, signers = recorded(self, name_of(name), self._calls()[name])
        order = calling([], bytes(call.data))
        intent = self.intent(seq=3000, callback=puppet.word, callbackGas=10**6)
        self.deliver(intent, output=order)
        with pytest.raises(FailedError, match="ReentrancyNotAllowed"):
            self.retry(intent, order)
        if name == "unpause":
            self.send("pause", sender=self.guardian)
        self.execute([call], *signers)
        return False, True

    def _calls(self) -> dict[str, Callable[[], Any]]:
        """Every call of the hub, right but for where it is made."""
        expired = self.ask(deadline=self.now + 100)
        self.at(expired["deadline"] + self.config["grace"] + 1)
        self.settle(self.ask(deadline=self.now + 9000), [(word(self.carol), 5000)])
        retried = self.intent(seq=2000, callback=word(self.carol))
        self.deliver(retried)
        asked = self.ask()
        self.send("offerGuardian", self.alice, sender=self.guardian)
        return {
            "request": self.ask,
            "deliver": lambda: self.deliver(self.intent(seq=1000)),
            "retry": lambda: self.retry(retried),
            "settle": lambda: self.settle(asked, []),
            "refund": lambda: self.refund(expired),
            "withdraw": lambda: self.send("withdraw", sender=self.carol),
            "rotate": lambda: self.rotate(NEXT, 2),
            "pause": lambda: self.send("pause", sender=self.guardian),
            "unpause": lambda: self.send("unpause", sender=self.guardian),
            "offerGuardian": lambda: self.send("offerGuardian", self.bob, sender=self.guardian),
            "acceptGuardian": lambda: self.send("acceptGuardian", sender=self.alice),
        }


def name_of(call: str) -> str:
    """A call's name in the IDL."""
    return {"offerGuardian": "offer_guardian", "acceptGuardian": "accept_guardian"}.get(call, call)


class Consumer:
    """The example consumer of a hub and of chat@1, owned by Bob."""

    def __init__(self, hub: SolanaTableHub) -> None:
        self.hub = hub
        self.program = consumer_solana.new_consumer(hub, f"consumer of {hub.program.id}")
        self.word = bytes(self.program.program)

    def allow(self, origin: bytes, requester: bytes) -> None:
        self.program.allow(self.hub.bob, origin, requester)

    def answered(self, intent: Message) -> tuple[int, bytes] | None:
        intent_id, status, output = self.program.answer()
        return (status, output) if intent_id == self.hub.intent_id(intent) else None


class Puppet:
    """A program that does as an output tells it, as callback and as creditor."""

    def __init__(self, hub: SolanaTableHub, act: str) -> None:
        self.hub = hub
        self.word = bytes(placed(hub.chain))
        self.output = OUTPUTS[act]
        register(hub, [])

    @property
    def told(self) -> Message | None:
        """What it was called with by the newest call."""
        if not self.hub.last.inner:
            return None
        (data,) = self.hub.last.inner
        words = [data[at : at + 32] for at in range(8, 168, 32)]
        names = ("intentId", "originHub", "requester", "agentId", "payloadHash")
        length = int.from_bytes(data[176:180], "little")
        assert len(data) == 180 + length
        return dict(zip(names, words, strict=True)) | {
            "status": int.from_bytes(data[168:176], "little"),
            "outputHash": bytes(Web3.keccak(data[180:])),
        }

    def withdraw(self) -> None:
        """Withdraw what its own authority was credited."""
        hub = self.hub
        owner = Pubkey(self.creditor)
        # An account that was never there needs its rent first.
        hub.chain.fund(owner)
        credit = hub.credit_of(self.creditor)
        accounts = {"config": hub.pda(b"config"), "owner": owner, "credit": credit}
        call = hub.program.call("withdraw", accounts)
        hub.execute([through(call)], hub.bob)

    @property
    def creditor(self) -> bytes:
        """The account in whose name it withdraws."""
        return bytes(AUTHORITY)
