"""A hub on wasmd as a test drives it: the client of `support.hub` behind the names of CosmWasm.

Messages are the same dicts and are signed by eth_account. What differs is how a call is written: in
JSON with snake case, bytes in hex and numbers as text.
"""

import base64
import json
import re
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eth_account.signers.local import LocalAccount

from support.hub import ROSTER, SETTINGS, HubClient, word
from support.wasmd import Chain, Result, contract_of, short
from vagus.adapters.cosmos.devnet import DENOM

__all__ = ["CONSUMER", "HUB", "CosmosHub", "Puppet", "call", "json_of", "new_hub"]

HUB = Path(str(files("vagus.adapters.cosmos").joinpath("abi", "hub.wasm")))
CONSUMER = HUB.with_name("consumer.wasm")
PUPPET = Path(__file__).parents[1] / "cosmos" / "hub" / "contracts" / "puppet.wasm"
# A call's arguments in the order of the EVM hub's.
ARGUMENTS = {
    "request": (
        "agentId",
        "payload",
        "modelDigest",
        "terms",
        "minSigners",
        "destHub",
        "callback",
        "callbackGas",
        "deadline",
    ),
    "deliver": ("intent", "attestation", "output", "signatures"),
    "retry": ("intent", "output"),
    "settle": ("receipt", "payouts", "signatures"),
    "refund": ("intentId",),
    "withdraw": (),
    "rotate": ("rotation", "signers", "signatures"),
    "pause": (),
    "unpause": (),
    "offerGuardian": ("candidate",),
    "acceptGuardian": (),
}
STRUCTS = {
    "intent": (
        "originHub",
        "seq",
        "requester",
        "agentId",
        "payloadHash",
        "modelDigest",
        "termsHash",
        "minSigners",
        "destHub",
        "callback",
        "callbackGas",
        "feeAsset",
        "maxFee",
        "deadline",
    ),
    "attestation": (
        "intentId",
        "originHub",
        "status",
        "outputHash",
        "agentDigest",
        "modelDigest",
        "evidenceHash",
        "epoch",
        "expiry",
    ),
    "receipt": ("intentId", "destHub", "status", "payoutsHash", "fee", "epoch", "expiry"),
    "rotation": ("epoch", "signersHash", "threshold", "validFrom", "rosterHash"),
}
NUMBERS = {"seq", "minSigners", "callbackGas", "maxFee", "deadline", "status", "epoch", "expiry"}
NUMBERS |= {"fee", "amount", "returned", "threshold", "previousUntil", "signers"}


def new_hub(
    chain: Chain,
    keys: list[LocalAccount],
    threshold: int,
    guardian: str,
    *,
    admin: str | None = None,
    funds: dict[str, int] | None = None,
    **settings: Any,
) -> "CosmosHub":
    """Instantiate a hub with this first set."""
    values = {"feeDenom": DENOM} | SETTINGS | settings
    message = {
        "signers": [key.address[2:].lower() for key in keys],
        "threshold": str(threshold),
        "guardian": word(guardian).hex(),
        "roster_hash": ROSTER.hex(),
    }
    message |= {snake(name): str(value) for name, value in values.items()}
    created = chain.create(HUB, message, admin, funds)
    return CosmosHub(chain, contract_of(created), keys, threshold, created)


class CosmosHub(HubClient):
    """One hub, its signers' keys and accounts that use it: as on anvil, by the same methods."""

    def __init__(
        self,
        chain: Chain,
        address: str,
        keys: list[LocalAccount],
        threshold: int,
        created: Result | None = None,
    ) -> None:
        self.chain = chain
        self.created = created
        """The transaction that made it, where this client did."""
        self.contract = SimpleNamespace(address=address)
        self.address = address
        self.keys = keys
        self.threshold = threshold
        self.config = self.view("config")
        self.id = self.config["hubId"]
        _, self.guardian, self.alice, self.bob, self.node, self.carol = chain.accounts[:6]

    @property
    def word(self) -> bytes:
        """The hub's own address as a word."""
        return word(short(self.address))

    def view(self, name: str, *arguments: Any) -> Any:
        """The answer of a query, bytes and numbers as such, or None."""
        question: dict[str, str] = {}
        if name in ("intentState", "delivery"):
            question["intent_id"] = arguments[0].hex()
        elif name == "signersOf":
            question["epoch"] = str(arguments[0])
        elif name == "credit":
            account = arguments[0]
            question["account"] = (word(account) if isinstance(account, str) else account).hex()
        return python_of(self.chain.query(self.address, {snake(name): question}))

    def events(self, name: str, receipt: Result) -> list[Any]:
        """A result's events of one name, as those of the EVM hub."""
        found = []
        for event in receipt["events"]:
            values = {entry["key"]: entry["value"] for entry in event["attributes"]}
            if event["type"] != f"wasm-{snake(name)}" or (
                values["_contract_address"] != self.address
            ):
                continue
            values = {camel(key): value for key, value in values.items() if key[0] != "_"}
            values.pop("msgIndex", None)
            read = {key: value_of(key, value) for key, value in values.items()}
            if name == "IntentRequested":
                read["intent"] = {field: read[field] for field in STRUCTS["intent"]}
            if name == "Rotated":
                read["signers"] = chunks(read["signers"], 20)
            if name == "Settled":
                words = chunks(read["payouts"], 32)
                amounts = [int.from_bytes(each) for each in words[1::2]]
                read["payouts"] = list(zip(words[::2], amounts, strict=True))
            found.append(read)
        return found

    @property
    def now(self) -> int:
        return self.chain.now

    def at(self, timestamp: int) -> None:
        self.chain.at(timestamp)

    def message(self, name: str, *arguments: Any) -> dict[str, Any]:
        """An `ExecuteMsg` of the arguments that the EVM hub's call takes."""
        given = dict(zip(ARGUMENTS[name], arguments, strict=True))
        if "candidate" in given:
            given["candidate"] = word(given["candidate"])
        for struct in STRUCTS.keys() & given.keys():
            given[struct] = dict(zip(STRUCTS[struct], given[struct], strict=True))
        if "payouts" in given:
            given["payouts"] = [{"payee": p, "amount": amount} for p, amount in given["payouts"]]
        if "signers" in given:
            given["signers"] = [bytes.fromhex(address[2:]) for address in given["signers"]]
        return {snake(name): json_of(given)}

    def send(self, name: str, *arguments: Any, sender: str, **options: Any) -> Result:
        """Any call of the hub; `value` is a coin of the fee's denom."""
        funds = {DENOM: options.pop("value")} if options.get("value") else None
        options.pop("value", None)
        message = self.message(name, *arguments)
        return self.chain.execute(self.address, message, sender, funds, **options)


class Puppet:
    """A contract that does as it is told, as callback, requester and creditor."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.address = chain.instantiate(PUPPET, {})
        self.word = word(short(self.address))

    def script(self, act: str, **arguments: Any) -> None:
        """Tell it what its callback does."""
        self.chain.execute(self.address, {"script": {act: arguments}}, self.chain.accounts[0])

    def try_(self, contract: str, message: Any, funds: int = 0) -> None:
        """Let its callback call a contract, and note whether that succeeded."""
        self.script("try", msg=call(contract, message, funds))

    def send(self, contract: str, message: Any, funds: int = 0) -> Result:
        """Call a contract in its name."""
        send = {"send": {"msg": call(contract, message, funds)}}
        return self.chain.execute(self.address, send, self.chain.accounts[0])

    @property
    def seen(self) -> Any:
        """What its callback was given last."""
        return python_of(self.chain.query(self.address, {"seen": {}}))


def call(contract: str, message: Any, funds: int = 0) -> dict[str, Any]:
    """A message that calls a contract, as one contract hands it to the chain."""
    coins = [{"denom": DENOM, "amount": str(funds)}] if funds else []
    body = base64.b64encode(json.dumps(message).encode()).decode()
    return {"wasm": {"execute": {"contract_addr": contract, "msg": body, "funds": coins}}}


def snake(name: str) -> str:
    """`intentId` as `intent_id`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    """`intent_id` as `intentId`."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def json_of(value: Any) -> Any:
    """A value as the hub's JSON: bytes in hex, numbers as text, names in snake case."""
    match value:
        case dict():
            return {snake(key): json_of(entry) for key, entry in value.items()}
        case list() | tuple():
            return [json_of(entry) for entry in value]
        case bytes():
            return value.hex()
        case bool() | str() | None:
            return value
        case int():
            return str(value)
    raise TypeError(f"{type(value)} has no JSON")


def python_of(value: Any) -> Any:
    """The hub's JSON as values: 64 hex digits are bytes, other digits numbers, names in camel case."""
    match value:
        case dict():
            return {camel(key): python_of(entry) for key, entry in value.items()}
        case list():
            return [python_of(entry) for entry in value]
        case str() if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value):
            return bytes.fromhex(value)
        case str() if re.fullmatch("[0-9]+", value):
            return int(value)
    return value


def value_of(key: str, text: str) -> Any:
    """An event's value, by its name: a number, a boolean or bytes."""
    if key == "success":
        return text == "true"
    # A delivery's signers are a number, a rotation's are addresses: 40 digits at the least.
    return int(text) if key in NUMBERS and len(text) < 40 else bytes.fromhex(text)


def chunks(packed: bytes, size: int) -> list[bytes]:
    """Bytes of so many each."""
    return [packed[at : at + size] for at in range(0, len(packed), size)]
