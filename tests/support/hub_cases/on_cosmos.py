"""What the table asks of a hub on wasmd beside its calls, in the words of `on_evm`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3

from support.hub import AGENT, Message, word
from support.hub_cases.on_evm import arguments
from support.hub_cases.table import Dialect, Difference
from support.hub_cosmos import CONSUMER, CosmosHub, json_of, new_hub
from support.hub_cosmos import Puppet as Scripted
from support.wasmd import Chain, Result, short
from support.wasmd_fork import forked

__all__ = ["DIALECT", "Consumer", "CosmosTableHub", "Puppet", "on_cosmos"]

ANY_WORD = Difference("every word but zero is an address there")
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
        "payouts whose sum overflows": "payouts overflow",
    },
    different={
        "a payout to a word that is no address of this chain": ANY_WORD,
        "a payout to an address with one byte too many": ANY_WORD,
        "a delivery with too little gas for its callback": Difference(
            "the transaction of a starved submessage runs out of gas as a whole", "out of gas"
        ),
        "a withdrawal that its receiver refuses": Difference("nobody there can refuse a coin"),
        "a delivery 136 years after the deployment": Difference("a record holds all times there"),
    },
)


def on_cosmos(
    chain: Chain, keys: list[LocalAccount], threshold: int, **settings: Any
) -> "CosmosTableHub":
    """A fresh hub with this first set."""
    hub = new_hub(chain, keys, threshold, chain.accounts[1], **settings)
    return CosmosTableHub(chain, hub.address, keys, threshold)


class CosmosTableHub(CosmosHub):
    """A hub that also says in the table's words what it keeps, and has contracts to call back."""

    last: Any = None
    """The result of the newest call."""

    def send(self, name: str, *arguments: Any, sender: str, **options: Any) -> Result:
        self.last = super().send(name, *arguments, sender=sender, **options)
        return self.last

    # What it keeps and tells.

    @property
    def settings(self) -> Message:
        return self.view("config")

    @property
    def committee(self) -> Message:
        found = self.view("committee")
        previous = found.pop("previous") or {"until": 0}
        return found | {"previousUntil": previous["until"]}

    def set_of(self, epoch: int) -> list[bytes]:
        return self.view("signersOf", epoch)

    def intent_of(self, intent: Message) -> Message | None:
        found = self.view("intentState", self.intent_id(intent))
        names = ("requester", "deadline", "escrow", "state")
        return found and {name: found[name] for name in names}

    def delivery_of(self, intent: Message) -> Message | None:
        return self.view("delivery", self.intent_id(intent))

    def owed(self, account: bytes) -> int:
        return self.view("credit", account)

    def balance(self, account: str) -> int:
        return self.chain.balance(self.chain.bech32(account))

    def cost(self) -> int:
        return self.last["fee"]

    def told(self, name: str) -> list[Message]:
        return self.events(name, self.last)

    def words_of(self, intent: Message) -> tuple[bytes, bytes]:
        (event,) = self.told("IntentRequested")
        assert event["intentId"] == self.intent_id(intent)
        return event["payload"], event["terms"]

    # Other hubs.

    def again(self, keys: list[LocalAccount], threshold: int, **settings: Any) -> "CosmosTableHub":
        return on_cosmos(self.chain, keys, threshold, **settings)

    @contextlib.contextmanager
    def forked(self) -> Iterator["CosmosTableHub"]:
        with forked(self.chain, "vagus-2") as chain:
            yield CosmosTableHub(chain, self.address, self.keys, self.threshold)

    # Callbacks.

    def answer(self, intent: Message, *arguments: Any, **options: Any) -> bool:
        self.deliver(intent, *arguments, **options)
        return self._called()

    def call_again(self, intent: Message, output: bytes = b"answer") -> bool:
        self.retry(intent, output)
        return self._called()

    def _called(self) -> bool:
        (event,) = self.told("CallbackResult")
        return event["success"]

    def starve(self, intent: Message) -> None:
        self.deliver(intent, gas=intent["callbackGas"])

    def consumer(self) -> "Consumer":
        return Consumer(self)

    def puppet(self, act: str = "accept") -> "Puppet":
        return Puppet(self, act)

    def reenter(self, name: str) -> tuple[bool, bool]:
        puppet = self.puppet()
        puppet.prepare(name)
        funds = 5000 if name == "request" else 0
        call = puppet.calls()[name]
        puppet.scripted.try_(self.address, call, funds)
        intent = self.intent(seq=3000, callback=puppet.word, callbackGas=10**6)
        assert self.answer(intent)
        inside = puppet.scripted.seen["succeeded"]
        if name == "unpause":
            puppet.makes("pause")
        puppet.scripted.send(self.address, call, funds)
        return inside, True


class Consumer:
    """The example consumer of a hub and of chat@1, owned by the chain's first account."""

    def __init__(self, hub: CosmosTableHub) -> None:
        self.hub = hub
        trust = {"hub": hub.address, "agent_id": AGENT.hex()}
        self.address = hub.chain.instantiate(CONSUMER, trust)
        self.word = word(short(self.address))

    def allow(self, origin: bytes, requester: bytes) -> None:
        arguments = {"originHub": origin, "requester": requester, "allowed": True}
        owner = self.hub.chain.accounts[0]
        self.hub.chain.execute(self.address, {"allow": json_of(arguments)}, owner)

    def answered(self, intent: Message) -> tuple[int, bytes] | None:
        question = {"answer": {"intent_id": self.hub.intent_id(intent).hex()}}
        found = self.hub.chain.query(self.address, question)
        return found and (int(found["status"]), bytes.fromhex(found["output"]))


class Puppet:
    """A contract that does as it is told, as callback and as creditor."""

    output = b"answer"

    def __init__(self, hub: CosmosTableHub, act: str) -> None:
        self.hub = hub
        self.scripted = Scripted(hub.chain)
        self.word = self.scripted.word
        self.scripted.script(act)

    @property
    def told(self) -> Message | None:
        seen = self.scripted.seen
        if not seen["calls"]:
            return None
        # As it is in the answer's JSON: `seen` reads a text of digits as a number.
        asked = self.hub.chain.query(self.scripted.address, {"seen": {}})
        output = bytes.fromhex(asked["outcome"]["output"])
        told = {name: each for name, each in seen["outcome"].items() if name != "output"}
        return told | {"outputHash": bytes(Web3.keccak(output))}

    def makes(self, name: str) -> None:
        """Make a call of the hub without arguments in its name."""
        self.scripted.send(self.hub.address, self.hub.message(name))

    @property
    def creditor(self) -> bytes:
        """The account in whose name it withdraws."""
        return self.word

    def withdraw(self) -> None:
        self.makes("withdraw")

    def prepare(self, name: str) -> None:
        """Give it what a call needs of its sender: coins, and the guardian's role."""
        hub = self.hub
        if name == "request":
            hub.chain.pay(self.scripted.address, 5000)
        if name in ("pause", "unpause", "offerGuardian", "acceptGuardian"):
            hub.send("offerGuardian", "0x" + self.word.hex(), sender=hub.guardian)
            if name != "acceptGuardian":
                self.makes("acceptGuardian")

    def calls(self) -> dict[str, Any]:
        right = arguments(self.hub, self.word)
        return {name: self.hub.message(name, *each) for name, each in right.items()}
