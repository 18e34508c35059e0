"""What the table asks of a hub on anvil beside its calls. On other chains the same names do the same.

Addresses are words in all that is answered here, states and outcomes are names.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from support.anvil import Anvil, running_anvil
from support.contracts import committed, compiled, deploy, send
from support.hub import AGENT, FOREIGN, ZERO, HubClient, Message, members, new_hub, word
from support.hub_cases.table import Dialect

__all__ = ["DIALECT", "Consumer", "EvmHub", "Puppet", "arguments", "on_evm"]

DIALECT = Dialect()
PUPPET = Path(__file__).parents[2] / "evm" / "hub" / "contracts" / "Puppet.vy"
MODES = {"accept": 0, "fail": 1, "burn": 2}
CALL = 4
STATES = ("unknown", "open", "settled", "refunded")
OUTCOMES = ("none", "succeeded", "failed")
NEXT = members(2, "next")


def on_evm(anvil: Anvil, keys: list[LocalAccount], threshold: int, **settings: int) -> "EvmHub":
    """A fresh hub with this first set."""
    hub = new_hub(anvil, keys, threshold, anvil.accounts[1], **settings)
    return EvmHub(anvil, hub.contract, keys, threshold)


class EvmHub(HubClient):
    """A hub that also says in the table's words what it keeps, and has contracts to call back."""

    last: Any = None
    """The receipt of the newest call."""

    def send(self, name: str, *arguments: Any, sender: str, **options: int) -> Any:
        self.last = super().send(name, *arguments, sender=sender, **options)
        return self.last

    # What it keeps and tells.

    @property
    def word(self) -> bytes:
        """The hub's own address."""
        return word(self.contract.address)

    @property
    def settings(self) -> Message:
        """What was set at deployment, the bounds of seq, the guardian and whether it paused."""
        return plain(self.view("config"))

    @property
    def committee(self) -> Message:
        """The current set, and until when the one before it counts."""
        return plain(self.view("committee"))

    def set_of(self, epoch: int) -> list[bytes]:
        """The signers of any epoch, 20 bytes each; none if there was none."""
        return [bytes.fromhex(each[2:]) for each in self.view("signersOf", epoch)]

    def intent_of(self, intent: Message) -> Message | None:
        """What became of an intent: state, requester, deadline and what is in escrow."""
        found = plain(self.view("intentState", self.intent_id(intent)))
        if not found["state"]:
            return None
        names = ("requester", "deadline", "escrow")
        return {name: found[name] for name in names} | {"state": STATES[found["state"]]}

    def delivery_of(self, intent: Message) -> Message | None:
        """A delivery's record."""
        found = plain(self.view("delivery", self.intent_id(intent)))
        if not found["deliveredAt"]:
            return None
        return found | {"callback": OUTCOMES[found["callback"]]}

    def owed(self, account: bytes) -> int:
        """What an account, a word, can withdraw."""
        return self.view("credit", Web3.to_checksum_address(account[12:]))

    def balance(self, account: str) -> int:
        """What an account has."""
        return self.anvil.web3.eth.get_balance(account)

    def cost(self) -> int:
        """What the sender of the newest call paid for its transaction."""
        return self.last["gasUsed"] * self.last["effectiveGasPrice"]

    def told(self, name: str) -> list[Message]:
        """The newest call's events of a name."""
        return [plain(event) for event in self.events(name, self.last)]

    def words_of(self, intent: Message) -> tuple[bytes, bytes]:
        """An intent's payload and terms, where the newest call asked it."""
        (event,) = self.told("IntentRequested")
        assert event["intentId"] == self.intent_id(intent)
        return event["payload"], event["terms"]

    # Other hubs.

    def again(self, keys: list[LocalAccount], threshold: int, **settings: int) -> "EvmHub":
        """Another hub on the same chain."""
        return on_evm(self.anvil, keys, threshold, **settings)

    @contextlib.contextmanager
    def forked(self) -> Iterator["EvmHub"]:
        """This hub on a chain that has gone on under another id."""
        with running_anvil(self.config["chainId"] + 1) as new:
            assert new.rpc("anvil_loadState", self.anvil.rpc("anvil_dumpState"))
            new.at(self.now + 1)
            new.rpc("evm_mine")
            contract = new.web3.eth.contract(address=self.contract.address, abi=self.contract.abi)
            yield EvmHub(new, contract, self.keys, self.threshold)

    # Callbacks.

    def answer(self, intent: Message, *arguments: Any, **options: Any) -> bool:
        """Deliver as `deliver` does; whether the callback succeeded."""
        self.deliver(intent, *arguments, **options)
        return self._called()

    def call_again(self, intent: Message, output: bytes = b"answer") -> bool:
        """Retry; whether the callback succeeded."""
        self.retry(intent, output)
        return self._called()

    def _called(self) -> bool:
        (event,) = self.told("CallbackResult")
        return event["success"]

    def starve(self, intent: Message) -> None:
        """Deliver with less gas than its callback was promised."""
        self.deliver(intent, gas=intent["callbackGas"])

    def consumer(self) -> "Consumer":
        """The example consumer, which believes nobody but itself at first."""
        return Consumer(self)

    def puppet(self, act: str = "accept") -> "Puppet":
        """A callback that does as it is told: accept, fail, or burn all its gas."""
        return Puppet(self, act)

    def reenter(self, name: str) -> tuple[bool, bool]:
        """Make a call of the hub in a callback, then the very same outside: whether each succeeded."""
        puppet = self.puppet()
        puppet.prepare(name)
        data = puppet.calls()[name]
        puppet.tries(data, 5000 if name == "request" else 0)
        intent = self.intent(seq=3000, callback=puppet.word, callbackGas=10**6)
        assert self.answer(intent)
        inside = puppet.contract.functions.succeeded().call()
        # The lock says nothing: what a rule of the hub rejects has its reason.
        assert puppet.contract.functions.answer().call() == b""
        if name == "unpause":
            puppet.makes(self.contract.encode_abi("pause", args=()))
        puppet.makes(data, 5000 if name == "request" else 0)
        return inside, True


class Consumer:
    """The example consumer of a hub and of chat@1, owned by Bob."""

    def __init__(self, hub: EvmHub) -> None:
        self.hub = hub
        arguments = hub.contract.address, AGENT
        self.contract = deploy(hub.anvil, committed("consumer"), *arguments, sender=hub.bob)
        self.word = word(self.contract.address)

    def allow(self, origin: bytes, requester: bytes) -> None:
        """Believe the answers to what is asked at that hub by that account."""
        call = self.contract.functions.allow(origin, requester, True)
        send(self.hub.anvil, call, self.hub.bob)

    def answered(self, intent: Message) -> tuple[int, bytes] | None:
        """Status and output of the answer that it keeps."""
        kept, status, output = self.contract.functions.answers(self.hub.intent_id(intent)).call()
        return (status, output) if kept else None


class Puppet:
    """A contract that does as it is told, as callback and as creditor."""

    output = b"answer"
    """The output with which it does that."""

    def __init__(self, hub: EvmHub, act: str) -> None:
        self.hub = hub
        self.contract: Contract = deploy(hub.anvil, compiled(PUPPET))
        self.word = word(self.contract.address)
        self._script(MODES[act])

    def _script(self, mode: int, data: str = "0x") -> None:
        call = self.contract.functions.script(mode, self.hub.contract.address, data)
        send(self.hub.anvil, call, self.hub.alice)

    @property
    def told(self) -> Message | None:
        """What its callback was given last; of the output its hash."""
        if not self.contract.functions.calls().call():
            return None
        names = ("intentId", "originHub", "requester", "agentId", "payloadHash")
        types = ["bytes32"] * 5 + ["uint64", "bytes32", "uint256"]
        seen = self.contract.functions.seen().call()
        words = self.contract.w3.codec.decode(types, seen)
        return dict(zip((*names, "status", "outputHash"), words[:7], strict=True))

    def makes(self, data: str, value: int = 0) -> None:
        """Call the hub in its name."""
        call = self.contract.functions.execute(self.hub.contract.address, data, 2_000_000)
        send(self.hub.anvil, call, self.hub.alice, value=value)

    @property
    def creditor(self) -> bytes:
        """The account in whose name it withdraws."""
        return self.word

    def withdraw(self) -> None:
        """Withdraw its credit."""
        self.makes(self.hub.contract.encode_abi("withdraw", args=()))

    def tries(self, data: str, value: int) -> None:
        """Let its callback call the hub and pay this along."""
        hub = self.hub
        self._script(CALL, data)
        if value:
            hub.anvil.rpc("anvil_setBalance", self.contract.address, hex(value))
            send(hub.anvil, self.contract.functions.pay(value), hub.alice)

    def prepare(self, name: str) -> None:
        """Give it what a call needs of its sender: a will to be paid, and the guardian's role."""
        hub = self.hub
        send(hub.anvil, self.contract.functions.be_generous(), hub.alice)
        if name in ("pause", "unpause", "offerGuardian", "acceptGuardian"):
            hub.send("offerGuardian", self.contract.address, sender=hub.guardian)
            if name != "acceptGuardian":
                self.makes(hub.contract.encode_abi("acceptGuardian", args=()))

    def calls(self) -> dict[str, str]:
        """Every call of the hub, by its name."""
        encode = self.hub.contract.encode_abi
        right = arguments(self.hub, self.word)
        return {name: encode(name, args=each) for name, each in right.items()}


def arguments(hub: HubClient, creditor: bytes) -> dict[str, tuple[Any, ...]]:
    """What each call of a hub takes, right in all but the lock; credit and role are the creditor's."""
    expired = hub.ask(deadline=hub.now + 100)
    hub.at(expired["deadline"] + hub.config["grace"] + 1)
    hub.settle(hub.ask(deadline=hub.now + 9000), [(creditor, 5000)])
    retried = hub.intent(seq=2000, callback=word(hub.carol))
    hub.deliver(retried)
    fresh = hub.intent(seq=1000)
    attestation = hub.attestation(fresh)
    receipt = hub.receipt(hub.ask(), [])
    rotation = hub.rotation(NEXT, 2)
    return {
        "request": (AGENT, b"", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 600),
        "deliver": (
            tuple(fresh.values()),
            tuple(attestation.values()),
            b"answer",
            hub.sign("Attestation", attestation),
        ),
        "retry": (tuple(retried.values()), b"answer"),
        "settle": (tuple(receipt.values()), [], hub.sign("Receipt", receipt)),
        "refund": (hub.intent_id(expired),),
        "withdraw": (),
        "rotate": (
            tuple(rotation.values()),
            [key.address for key in NEXT],
            hub.sign("Rotation", rotation),
        ),
        "pause": (),
        "unpause": (),
        "offerGuardian": (hub.alice,),
        "acceptGuardian": (),
    }


def plain(value: Any) -> Any:
    """A view's or event's answer with addresses as words, and a set's signers as 20 bytes each."""
    match value:
        case Mapping():
            found = {name: plain(each) for name, each in value.items()}
            if isinstance(found.get("signers"), list):
                found["signers"] = [signer[12:] for signer in found["signers"]]
            return found
        case list() | tuple():
            return [plain(each) for each in value]
        case str() if Web3.is_address(value):
            return word(value)
    return value
