"""A hub on anvil as a test drives it: messages as dicts, signatures by eth_account.

Nothing here comes from the package but the hub's committed build, so that the contract is compared
with eth_account and web3 and never with our own hashing. The methods are the protocol's own calls,
which a hub on another VM has too: `cases.py` uses no others.
"""

from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from support.anvil import Anvil
from support.contracts import RevertError, committed, deploy, send

__all__ = ["HubClient", "Message", "RevertError", "hub_id", "members", "new_hub", "word"]

Message = dict[str, Any]
ZERO = bytes(32)
DAY = 86_400
FOREIGN = Web3.keccak(text="eip155:1:0x" + "11" * 20)  # a hub on some other chain
AGENT = Web3.keccak(text="chat@1")
ROSTER = Web3.keccak(text="roster")
SETTINGS = {
    "minFee": 1000,
    "minTtl": 60,
    "maxTtl": 30 * DAY,
    "grace": 3600,
    "maxCallbackGas": 10**6,
}


def word(address: str) -> bytes:
    """An EVM address as a word."""
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def hub_id(chain_id: int, address: str) -> bytes:
    """keccak256 of a hub's CAIP-10 id."""
    return Web3.keccak(text=f"eip155:{chain_id}:{address.lower()}")


def members(count: int, seed: str = "member") -> list[LocalAccount]:
    """Signers in ascending order."""
    keys = [Account.from_key(Web3.keccak(text=f"{seed} {i}")) for i in range(count)]
    return sorted(keys, key=lambda key: int(key.address, 16))


def new_hub(
    anvil: Anvil, keys: list[LocalAccount], threshold: int, guardian: str, **settings: int
) -> "HubClient":
    """Deploy a hub with this first set."""
    s = SETTINGS | settings
    contract = deploy(
        anvil,
        committed("hub"),
        [key.address for key in keys],
        threshold,
        guardian,
        *(s[name] for name in ("minFee", "minTtl", "maxTtl", "grace", "maxCallbackGas")),
        ROSTER,
    )
    return HubClient(anvil, contract, keys, threshold)


def types() -> dict[str, list[dict[str, str]]]:
    """The messages' EIP-712 types, as the hub's abi has them."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in committed("hub")["abi"]:
        for argument in entry.get("inputs", []):
            name = {"intent": "Intent", "attestation": "Attestation", "receipt": "Receipt"}.get(
                argument["name"], "Rotation" if argument["name"] == "rotation" else ""
            )
            if name and "components" in argument:
                fields = argument["components"]
                found[name] = [{"name": f["name"], "type": f["type"]} for f in fields]
    return found


class HubClient:
    """One hub, its signers' keys and accounts that use it."""

    def __init__(
        self, anvil: Anvil, contract: Any, keys: list[LocalAccount], threshold: int
    ) -> None:
        self.anvil = anvil
        self.contract = contract
        self.keys = keys
        self.threshold = threshold
        self.functions = contract.functions
        self.config = self.view("config")
        self.id: bytes = self.config["hubId"]
        _, self.guardian, self.alice, self.bob, self.node, self.carol = anvil.accounts[:6]

    # Reading.

    def view(self, name: str, *arguments: Any) -> Any:
        """The answer of a view: a dict by field name where it is a struct."""
        answer = self.functions[name](*arguments).call()
        (output,) = next(e for e in self.contract.abi if e.get("name") == name)["outputs"]
        if "components" not in output:
            return answer
        return dict(zip((f["name"] for f in output["components"]), answer, strict=True))

    def events(self, name: str, receipt: Any) -> list[Any]:
        """The arguments of a transaction's events of one name."""
        logs = [log for log in receipt["logs"] if log["address"] == self.contract.address]
        event = self.contract.events[name]()
        topic = bytes.fromhex(event.topic.removeprefix("0x"))
        return [event.process_log(log)["args"] for log in logs if log["topics"][0] == topic]

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.view("committee")["epoch"]

    @property
    def now(self) -> int:
        """The chain's time."""
        return self.anvil.now

    def at(self, timestamp: int) -> None:
        """Let the next call happen at this time."""
        self.anvil.at(timestamp)

    # Messages, right in every field unless told otherwise.

    def intent(self, **changes: Any) -> Message:
        """An intent that was asked at another hub and goes here."""
        intent = {
            "originHub": FOREIGN,
            "seq": 7,
            "requester": word(self.alice),
            "agentId": AGENT,
            "payloadHash": Web3.keccak(b"question"),
            "modelDigest": ZERO,
            "termsHash": ZERO,
            "minSigners": 0,
            "destHub": self.id,
            "callback": ZERO,
            "callbackGas": 100_000,
            "feeAsset": ZERO,
            "maxFee": 5000,
            "deadline": self.now + 3600,
        }
        return intent | changes

    def attestation(
        self, intent: Message, output: bytes = b"answer", status: int = 0, **changes: Any
    ) -> Message:
        """What a committee says of an intent."""
        model = intent["modelDigest"] if any(intent["modelDigest"]) else Web3.keccak(b"model")
        attestation = {
            "intentId": self.intent_id(intent),
            "originHub": intent["originHub"],
            "status": status,
            "outputHash": Web3.keccak(output),
            "agentDigest": ZERO if status else Web3.keccak(b"agent"),
            "modelDigest": ZERO if status else model,
            "evidenceHash": Web3.keccak(b"evidence"),
            "epoch": self.epoch,
            "expiry": intent["deadline"],
        }
        return attestation | changes

    def receipt(
        self, intent: Message, payouts: list[tuple[bytes, int]], status: int = 0, **changes: Any
    ) -> Message:
        """What a committee says of an intent's fee."""
        packed = b"".join(payee + amount.to_bytes(32) for payee, amount in payouts)
        receipt = {
            "intentId": self.intent_id(intent),
            "destHub": intent["destHub"],
            "status": status,
            "payoutsHash": Web3.keccak(packed),
            "fee": sum(amount for _, amount in payouts),
            "epoch": self.epoch,
            "expiry": intent["deadline"] + 3600,
        }
        return receipt | changes

    def rotation(self, keys: list[LocalAccount], threshold: int, **changes: Any) -> Message:
        """What a committee says of its successor."""
        packed = b"".join(word(key.address) for key in keys)
        rotation = {
            "epoch": self.epoch + 1,
            "signersHash": Web3.keccak(packed),
            "threshold": threshold,
            "validFrom": self.now,
            "rosterHash": Web3.keccak(text="next roster"),
        }
        return rotation | changes

    # Signing, by eth_account.

    def signable(self, kind: str, message: Message, hub: bytes | None = None) -> Any:
        """A message as eth_account's typed data, for this hub unless told otherwise."""
        from eth_account.messages import encode_typed_data

        domain = {"name": "vagus", "version": "1", "salt": hub or self.id}
        return encode_typed_data(domain, {kind: types()[kind]}, message)

    def intent_id(self, intent: Message) -> bytes:
        """The intent's hashStruct: what eth_account puts in an encoded message's body."""
        return bytes(self.signable("Intent", intent).body)

    def sign(
        self,
        kind: str,
        message: Message,
        keys: list[LocalAccount] | None = None,
        hub: bytes | None = None,
    ) -> list[bytes]:
        """A message signed by the given members in their order, else by the first that suffice."""
        signable = self.signable(kind, message, hub)
        signers = self.keys[: self.threshold] if keys is None else keys
        return [bytes(key.sign_message(signable).signature) for key in signers]

    # Calls: a receipt, or `RevertError`.

    def send(self, name: str, *arguments: Any, sender: str, **options: int) -> Any:
        """Any call of the hub."""
        return send(self.anvil, self.functions[name](*arguments), sender, **options)

    def ask(self, sender: str | None = None, fee: int = 5000, **changes: Any) -> Message:
        """Request, to another hub unless told otherwise; the intent as the event has it."""
        asked = {
            "agentId": AGENT,
            "payload": b"question",
            "modelDigest": ZERO,
            "terms": b"",
            "minSigners": 0,
            "destHub": FOREIGN,
            "callback": ZERO,
            "callbackGas": 0,
            "deadline": self.now + 3600,
        } | changes
        receipt = self.send("request", *asked.values(), sender=sender or self.alice, value=fee)
        return dict(self.events("IntentRequested", receipt)[0]["intent"])

    def deliver(
        self,
        intent: Message,
        attestation: Message | None = None,
        output: bytes = b"answer",
        signatures: list[bytes] | None = None,
        **options: int,
    ) -> Any:
        """Deliver; a right attestation and signatures where none are given."""
        attestation = attestation or self.attestation(intent, output)
        if signatures is None:
            signatures = self.sign("Attestation", attestation)
        arguments = tuple(intent.values()), tuple(attestation.values()), output, signatures
        return self.send("deliver", *arguments, sender=self.node, **options)

    def retry(self, intent: Message, output: bytes = b"answer", **options: int) -> Any:
        """Retry the callback."""
        return self.send("retry", tuple(intent.values()), output, sender=self.node, **options)

    def settle(
        self,
        intent: Message,
        payouts: list[tuple[bytes, int]],
        receipt: Message | None = None,
        signatures: list[bytes] | None = None,
    ) -> Any:
        """Settle; a right receipt and signatures where none are given."""
        receipt = receipt or self.receipt(intent, payouts)
        if signatures is None:
            signatures = self.sign("Receipt", receipt)
        arguments = tuple(receipt.values()), payouts, signatures
        return self.send("settle", *arguments, sender=self.node)

    def refund(self, intent: Message) -> Any:
        """Refund."""
        return self.send("refund", self.intent_id(intent), sender=self.bob)

    def rotate(
        self,
        keys: list[LocalAccount],
        threshold: int,
        rotation: Message | None = None,
        signatures: list[bytes] | None = None,
    ) -> Any:
        """Rotate, signed by the set that this client holds, which stays as it was."""
        rotation = rotation or self.rotation(keys, threshold)
        if signatures is None:
            signatures = self.sign("Rotation", rotation)
        addresses = [key.address for key in keys]
        return self.send("rotate", tuple(rotation.values()), addresses, signatures, sender=self.bob)
