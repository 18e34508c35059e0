"""The Solana side: the hub's program in LiteSVM, in this process. Who signed a transaction is not checked."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata

from support import borsh
from support.differential.messages import KINDS, NOTHING, Bounds, Delivering, Message, Signable
from support.differential.side import Asked, Recorded
from support.hub import DAY, members
from support.hub_solana import SolanaHub, new_solana_hub
from support.litesvm import LiteChain
from vagus.adapters.base import Question
from vagus.adapters.solana import hub
from vagus.adapters.solana.hub import Found, Order
from vagus.adapters.solana.plan import Plan
from vagus.adapters.solana.records import Places, read_delivery, read_escrow
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Attestation, Intent, Receipt, Rotation, keccak256

__all__ = ["SolanaSide", "running_solana_side"]

# docs/hub-solana.md
SIZES = (352, 216, 152, 88)
ID = slice(48, 80)  # of an intent's account
TTL = 366 * DAY
RICH = 2**63
FEE_BITS = 62
SYSTEM = Pubkey.default()
UNITS = 1_400_000


class SolanaSide:
    """One hub in LiteSVM."""

    name = "solana in LiteSVM"
    batch = 100

    def __init__(self, chain: LiteChain, client: SolanaHub) -> None:
        self._client = client
        chain.svm = chain.svm.with_sigverify(False)
        self._svm = chain.svm
        self._now = chain.now
        self._nonce = 0
        self._places = Places(client.program.id)
        self._deliverer = Wallet(keccak256(b"the deliverer"))
        self._fund(self._deliverer)
        self._digest = bytes(client.program.instructions["digest"]["discriminator"])

    # Messages

    def packed(self, message: Message) -> bytes:
        match message:
            case Intent():
                found = hub.retry(message, b"")
            case Attestation():
                found = hub.deliver(NOTHING, message, b"", [])
                return found.arguments[SIZES[0] : SIZES[0] + SIZES[1]]
            case Receipt():
                found = hub.settle(message, [], [])
            case Rotation():
                found = hub.rotate(message, [], [])
        return found.arguments[: SIZES[KINDS.index(type(message))]]

    def oracle(self, message: Message) -> bytes:
        kind = {"defined": {"name": type(message).__name__}}
        return borsh.encode(kind, fields(message), self._client.program.types)

    def hashes(self, messages: Sequence[tuple[bytes, Signable]]) -> list[bytes]:
        found = []
        for packed, each in messages:
            kind = KINDS.index(type(each.message)).to_bytes(1)
            size = len(packed).to_bytes(4, "little")
            data = self._digest + kind + each.hub + size + packed
            call = Instruction(self._places.program, data, [])
            found.append(self._send(self._deliverer, [call]))
        return found

    # Calls

    def call(self, what: Question | Delivering) -> bytes:
        return hub.arguments_of(order(what), self._nonce)

    def call_oracle(self, what: Question | Delivering) -> bytes:
        if isinstance(what, Question):
            asked = dataclasses.asdict(what) | {"nonce": self._nonce}
            return self._client.program.arguments("request", asked)
        given = {
            "intent": fields(what.intent),
            "attestation": fields(what.attestation),
            "output": what.output,
            "signatures": b"".join(what.signatures),
        }
        return self._client.program.arguments("deliver", given)

    def bounds(self) -> Bounds:
        return Bounds.of(self._client, self._now, TTL, FEE_BITS)

    def request(self, questions: Sequence[tuple[bytes, Question]]) -> list[Asked]:
        first = self._client.config["nextSeq"]
        found = []
        for place, (seed, question) in enumerate(questions):
            requester = Wallet(keccak256(seed))
            self._fund(requester)
            self._nonce += 1
            self._carry_out(requester, order(question))
            word = bytes(requester.key)
            data = self._data(self._places.intent(word, self._nonce))
            escrow = read_escrow(data, self._client.id)
            asked = escrow.intent, escrow.payload, escrow.terms
            found.append(Asked(word, first + place, data[ID], *asked))
        return found

    def deliver(self, deliveries: Sequence[Delivering]) -> list[Recorded]:
        found = []
        for each in deliveries:
            self._carry_out(self._deliverer, order(each))
            data = self._data(self._places.delivery(each.intent.id))
            record = read_delivery(data, each.intent.id)
            found.append(Recorded(record, bytes(self._deliverer.key), self._now))
        return found

    def _carry_out(self, wallet: Wallet, what: Order) -> None:
        """Do what the adapter plans: the call alone, or the parts that stage it and then the call."""
        plan = Plan(self._places, wallet, what, self._nonce, Found())
        if plan.staged:
            (opening,) = plan.staging_parts(None)
            self._send(wallet, opening.instructions)
            for part in plan.staging_parts(bytes(len(plan.staging.arguments))):
                self._send(wallet, part.instructions)
        self._send(wallet, plan.calls())

    def _send(self, wallet: Wallet, instructions: list[Instruction]) -> bytes:
        budgeted = [set_compute_unit_limit(UNITS), *instructions]
        blockhash = bytes(self._svm.latest_blockhash())
        done = self._svm.send_transaction(wallet.unsigned(budgeted, blockhash))
        if isinstance(done, FailedTransactionMetadata):
            logs = "\n".join(done.meta().logs())
            raise AssertionError(f"the hub rejects a call: {done.err()}\n{logs}")  # noqa: TRY004 - the hub says no
        return bytes(done.return_data().data)

    def _data(self, key: Pubkey) -> bytes:
        account = self._svm.get_account(key)
        assert account is not None
        return bytes(account.data)

    def _fund(self, wallet: Wallet) -> None:
        self._svm.set_account(wallet.key, Account(RICH, b"", SYSTEM))


def order(what: Question | Delivering) -> Order:
    """A request or a delivery as the adapter has it."""
    if isinstance(what, Question):
        return hub.request(what)
    return hub.deliver(what.intent, what.attestation, what.output, what.signatures)


def fields(message: Message) -> dict[str, Any]:
    """A message as the IDL has it: amounts are 32 bytes."""
    found = dataclasses.asdict(message)
    return found | {name: found[name].to_bytes(32) for name in {"max_fee", "fee"} & set(found)}


@contextmanager
def running_solana_side() -> Iterator[SolanaSide]:
    """A hub with three signers of whom two suffice, on a chain of its own."""
    chain = LiteChain()
    client = new_solana_hub(chain, chain.program, members(3), 2, minFee=0, minTtl=0, maxTtl=TTL)
    yield SolanaSide(chain, client)
