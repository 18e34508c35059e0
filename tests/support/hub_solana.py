"""A hub on Solana as a test drives it: the calls of `support.hub`, behind the same names.

Messages, signatures and digests are those of `support.hub`, by eth_account; the program is known by
its IDL alone. The chain may be LiteSVM or a node: `Chain` is what a client needs of it.
Accounts are written as hexadecimal of 32 bytes, so that `word` makes them a word as on EVM chains.
"""

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

from eth_account.signers.local import LocalAccount
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from web3 import Web3

from support.contracts import RevertError
from support.hub import AGENT, FOREIGN, ROSTER, SETTINGS, ZERO, HubClient, Message, word
from support.litesvm import LOADER, PACKET, FailedError, Sent
from support.solana_idl import Program, build

__all__ = ["Chain", "SolanaHub", "new_solana_hub", "person", "solana_hub_id"]

CHUNK = 900  # bytes of a staged argument that fit a transaction
ELSEWHERE = 2**64 - 1  # a nonce that no test asks with


class Chain(Protocol):
    """What a client needs of a chain."""

    genesis: str
    hubs: int
    units: int

    @property
    def now(self) -> int: ...
    def at(self, timestamp: int) -> None: ...
    def fund(self, key: Pubkey, lamports: int = ...) -> None: ...
    def rent(self, size: int) -> int: ...
    def look_up(self, keys: Sequence[Pubkey]) -> None: ...
    def account(self, key: Pubkey) -> Account | None: ...
    def put(self, key: Pubkey, account: Account) -> None: ...
    def program(self, key: Pubkey, code: bytes, authority: Pubkey | None) -> None: ...
    def send(self, instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Sent: ...


def person(name: str) -> Keypair:
    """A key pair of its own for each name."""
    return Keypair.from_seed(bytes(Web3.keccak(text=f"person {name}")))


def spelled(key: Pubkey) -> str:
    """An account as these tests write it."""
    return "0x" + bytes(key).hex()


def solana_hub_id(genesis: str, program: Pubkey) -> bytes:
    """keccak256 of a hub's CAIP-10 id."""
    return bytes(Web3.keccak(text=f"solana:{genesis[:32]}:{program}"))


def camel(fields: dict[str, Any]) -> dict[str, Any]:
    """A message as eth_account names its fields, numbers of 32 bytes as such."""
    found = {re.sub("_(.)", lambda m: m[1].upper(), name): value for name, value in fields.items()}
    for name in ("maxFee", "fee"):
        if isinstance(found.get(name), bytes):
            found[name] = int.from_bytes(found[name])
    return found


def snake(message: Message) -> dict[str, Any]:
    """A message as the IDL names its fields."""
    found = {re.sub("([A-Z])", lambda m: "_" + m[1].lower(), k): v for k, v in message.items()}
    for name in ("max_fee", "fee"):
        if name in found:
            found[name] = found[name].to_bytes(32)
    return found


def new_solana_hub(
    chain: Chain,
    place: Callable[[Pubkey, bytes, Pubkey], None],
    keys: list[LocalAccount],
    threshold: int,
    name: str = "hub",
    **settings: Any,
) -> "SolanaHub":
    """Put a hub's program in place, at the address of its name, and initialize it with this first set."""
    program, authority = person(name).pubkey(), person("authority")
    place(program, build("hub"), authority.pubkey())
    hub = SolanaHub(chain, program, keys, threshold)
    hub.initialize(**settings)
    return hub


class SolanaHub(HubClient):
    """One hub, its signers' keys and accounts that use it."""

    def __init__(
        self, chain: Chain, program: Pubkey, keys: list[LocalAccount], threshold: int
    ) -> None:
        self.chain = chain
        self.program = Program(program)
        self.keys = keys
        self.threshold = threshold
        self.id = solana_hub_id(chain.genesis, program)
        self.contract = SimpleNamespace(address=spelled(program))
        self.nonces: dict[bytes, int] = {}
        self.staged = 0
        self.units = 0  # compute units of the last call
        self.people: dict[str, Keypair] = {}
        names = ("authority", "guardian", "alice", "bob", "node", "carol")
        enrolled = map(self.enrol, names)
        self.authority, self.guardian, self.alice, self.bob, self.node, self.carol = enrolled

    def enrol(self, name: str) -> str:
        """Make a person who has lamports."""
        pair = person(name)
        self.chain.fund(pair.pubkey())
        self.people[spelled(pair.pubkey())] = pair
        return spelled(pair.pubkey())

    # Reading.

    @property
    def now(self) -> int:
        return self.chain.now

    def at(self, timestamp: int) -> None:
        self.chain.at(timestamp)

    def pda(self, *seeds: bytes | int) -> Pubkey:
        """An account of the hub; numbers are u64."""
        parts = [s.to_bytes(8, "little") if isinstance(s, int) else s for s in seeds]
        return self.program.address(*parts)

    def read(self, kind: str, key: Pubkey) -> dict[str, Any] | None:
        """An account's fields, None where there is none."""
        account = self.chain.account(key)
        if account is None or account.owner != self.program.id:
            return None
        return self.program.record(kind, bytes(account.data))

    @property
    def config(self) -> dict[str, Any]:
        found = self.read("Config", self.pda(b"config"))
        assert found
        return camel(found)

    @property
    def epoch(self) -> int:
        return self.config["epoch"]

    def signers_of(self, epoch: int) -> Pubkey:
        """The account of an epoch's signers."""
        return self.pda(b"signers", epoch)

    def place(self, intent_id: bytes, requester: bytes) -> Pubkey:
        """An intent's account."""
        return self.pda(b"intent", requester, self.nonces.get(intent_id, ELSEWHERE))

    def credit_of(self, owner: bytes) -> Pubkey:
        """An owner's credit account."""
        return self.pda(b"credit", owner)

    def credit(self, account: str) -> int:
        """What an account can withdraw."""
        found = self.read("Credit", self.credit_of(word(account)))
        return found["amount"] if found else 0

    def escrow(self, intent: Message) -> dict[str, Any] | None:
        """An intent's record."""
        return self.read("Escrow", self.place(self.intent_id(intent), intent["requester"]))

    def delivery(self, intent: Message) -> dict[str, Any] | None:
        """A delivery's record."""
        return self.read("Delivery", self.pda(b"delivery", self.intent_id(intent)))

    # Calling.

    def execute(self, instructions: Sequence[Instruction], *signers: str) -> Sent:
        """Send instructions of people; `RevertError` in the hub's words."""
        try:
            sent = self.chain.send(instructions, [self.people[each] for each in signers])
        except FailedError as error:
            if error.code in self.program.reasons:
                raise RevertError(self.program.reasons[error.code]) from error
            raise
        self.units = sent.units
        return sent

    def call(
        self,
        name: str,
        sender: str,
        places: dict[str, Pubkey],
        more: Sequence[AccountMeta] = (),
        **arguments: Any,
    ) -> Sent:
        """One instruction; its arguments are staged where they do not fit a transaction."""
        known = {"config": self.pda(b"config")}
        data = self.program.arguments(name, arguments)
        inline = self.program.call(name, known | places, data, more)
        # A signature, the header, a blockhash, the compute limit, and each key once.
        keys = {bytes(meta.pubkey) for meta in inline.accounts}
        size = 65 + 3 + 32 + 90 + 34 * len(keys) + len(data)
        if size <= PACKET:
            return self.execute([inline], sender)
        staging = self.stage(sender, data)
        staged = self.program.call(name, known | places | {"staging": staging}, b"", more)
        close = self.program.call("stage_close", {"writer": self.key(sender), "staging": staging})
        return self.execute([staged, close], sender)

    def stage(self, sender: str, data: bytes) -> Pubkey:
        """Write a call's arguments into a staging account of the sender."""
        self.staged += 1
        staging = self.pda(b"staging", word(sender), self.staged)
        accounts = {"writer": self.key(sender), "staging": staging}
        size = self.program.arguments("stage_open", {"id": self.staged, "size": len(data)})
        opening = self.program.call("stage_open", accounts, size)
        self.execute([opening, opening], sender)
        for offset in range(0, len(data), CHUNK):
            part = {"offset": offset, "bytes": data[offset : offset + CHUNK]}
            written = self.program.arguments("stage_write", part)
            self.execute([self.program.call("stage_write", accounts, written)], sender)
        return staging

    def key(self, account: str) -> Pubkey:
        """An account's public key."""
        return Pubkey.from_bytes(word(account))

    def initialize(self, authority: str | None = None, **settings: Any) -> Sent:
        """Initialize, by the upgrade authority unless told otherwise."""
        own = {"genesis": self.chain.genesis[:32].encode(), "rosterHash": ROSTER, "epoch": self.now}
        s = SETTINGS | own | settings
        sender = authority or self.authority
        program_data, _ = Pubkey.find_program_address([bytes(self.program.id)], LOADER)
        return self.call(
            "initialize",
            sender,
            {
                "payer": self.key(sender),
                "authority": self.key(sender),
                "program_data": program_data,
                "signer_set": self.signers_of(s["epoch"]),
            },
            genesis=s["genesis"],
            epoch=s["epoch"],
            guardian=word(self.guardian),
            min_fee=s["minFee"],
            min_ttl=s["minTtl"],
            max_ttl=s["maxTtl"],
            grace=s["grace"],
            max_callback_gas=s["maxCallbackGas"],
            roster_hash=s["rosterHash"],
            threshold=self.threshold,
            signers=[bytes.fromhex(key.address[2:]) for key in self.keys],
        )

    def send(self, name: str, *arguments: Any, sender: str, **_: int) -> Sent:
        """A call without messages, by its name on EVM chains."""
        who = self.key(sender)
        match name:
            case "withdraw":
                credit = self.credit_of(word(sender))
                return self.call("withdraw", sender, {"owner": who, "credit": credit})
            case "pause" | "unpause":
                return self.call(name, sender, {"guardian": who})
            case "offerGuardian":
                candidate = word(arguments[0])
                return self.call("offer_guardian", sender, {"guardian": who}, candidate=candidate)
            case "acceptGuardian":
                return self.call("accept_guardian", sender, {"candidate": who})
        raise AssertionError(name)

    def ask(self, sender: str | None = None, fee: int = 5000, **changes: Any) -> Message:
        sender = sender or self.alice
        nonce = len(self.nonces)
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
        place = self.pda(b"intent", word(sender), nonce)
        accounts = {
            "payer": self.key(sender),
            "requester": self.key(sender),
            "intent": place,
            "credit": self.credit_of(word(sender)),
        }
        self.call("request", sender, accounts, nonce=nonce, fee=fee, **snake(asked))
        record = self.read("Escrow", place)
        assert record
        self.nonces[record["intent_id"]] = nonce
        return camel(record["intent"])

    def deliver(
        self,
        intent: Message,
        attestation: Message | None = None,
        output: bytes = b"answer",
        signatures: list[bytes] | None = None,
        **_: int,
    ) -> Sent:
        attestation = attestation or self.attestation(intent, output)
        if signatures is None:
            signatures = self.sign("Attestation", attestation)
        accounts = {
            "deliverer": self.key(self.node),
            "signer_set": self.signers_of(attestation["epoch"]),
            "delivery": self.pda(b"delivery", self.intent_id(intent)),
        }
        return self.call(
            "deliver",
            self.node,
            accounts,
            intent=snake(intent),
            attestation=snake(attestation),
            output=output,
            signatures=b"".join(signatures),
        )

    def retry(
        self,
        intent: Message,
        output: bytes = b"answer",
        more: Sequence[AccountMeta] | None = None,
        **_: int,
    ) -> Sent:
        consumer = Pubkey.from_bytes(intent["callback"])
        registry = self.pda(b"registry", bytes(consumer))
        found = self.read("Registry", registry)
        if more is None and found:
            listed = found["accounts"][: found["count"]]
            more = [AccountMeta(Pubkey(a["key"]), False, a["writable"]) for a in listed]
        accounts = {
            "caller": self.key(self.node),
            "delivery": self.pda(b"delivery", self.intent_id(intent)),
            "registry": registry,
            "consumer": consumer,
            "callback_signer": self.pda(b"callback", bytes(consumer)),
        }
        return self.call(
            "retry", self.node, accounts, more or (), intent=snake(intent), output=output
        )

    def open_credit(self, owner: bytes) -> Sent:
        """Open an account's credit."""
        accounts = {
            "payer": self.key(self.node),
            "owner": Pubkey(owner),
            "credit": self.credit_of(owner),
        }
        return self.call("open_credit", self.node, accounts)

    def settle(
        self,
        intent: Message,
        payouts: list[tuple[bytes, int]],
        receipt: Message | None = None,
        signatures: list[bytes] | None = None,
    ) -> Sent:
        receipt = receipt or self.receipt(intent, payouts)
        if signatures is None:
            signatures = self.sign("Receipt", receipt)
        for payee in {payee for payee, _ in payouts if any(payee)}:
            self.open_credit(payee)
        accounts = {
            "caller": self.key(self.node),
            "signer_set": self.signers_of(receipt["epoch"]),
            "intent": self.place(receipt["intentId"], intent["requester"]),
            "credit": self.credit_of(intent["requester"]),
        }
        return self.call(
            "settle",
            self.node,
            accounts,
            [AccountMeta(self.credit_of(payee), False, True) for payee, _ in payouts],
            receipt=snake(receipt),
            payouts=[{"payee": p, "amount": amount.to_bytes(32)} for p, amount in payouts],
            signatures=b"".join(signatures),
        )

    def refund(self, intent: Message) -> Sent:
        intent_id = self.intent_id(intent)
        accounts = {
            "intent": self.place(intent_id, intent["requester"]),
            "credit": self.credit_of(intent["requester"]),
        }
        return self.call("refund", self.bob, accounts, intent_id=intent_id)

    def rotate(
        self,
        keys: list[LocalAccount],
        threshold: int,
        rotation: Message | None = None,
        signatures: list[bytes] | None = None,
    ) -> Sent:
        rotation = rotation or self.rotation(keys, threshold)
        if signatures is None:
            signatures = self.sign("Rotation", rotation)
        accounts = {
            "payer": self.key(self.bob),
            "signer_set": self.signers_of(self.epoch),
            "next_signer_set": self.signers_of(rotation["epoch"]),
        }
        return self.call(
            "rotate",
            self.bob,
            accounts,
            rotation=snake(rotation),
            signers=[bytes.fromhex(key.address[2:]) for key in keys],
            signatures=b"".join(signatures),
        )

    def close_intent(self, intent: Message, receiver: str | None = None) -> Sent:
        """Close an intent's account."""
        accounts = {
            "intent": self.place(self.intent_id(intent), intent["requester"]),
            "payer": self.key(receiver or self.alice),
        }
        return self.call("close_intent", self.bob, accounts)

    def close_delivery(self, intent: Message, receiver: str | None = None) -> Sent:
        """Close a delivery's account."""
        accounts = {
            "delivery": self.pda(b"delivery", self.intent_id(intent)),
            "deliverer": self.key(receiver or self.node),
        }
        return self.call("close_delivery", self.bob, accounts)
