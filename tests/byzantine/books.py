"""What the chains say of every intent, gathered: the only thing that the judge looks at."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak

from byzantine.questions import Question
from support.hub import Message, types

__all__ = [
    "Books",
    "Delivered",
    "Intent",
    "News",
    "Requested",
    "Settled",
    "intent_id_of",
    "signers_of",
]

_TYPES = types()


@dataclass(frozen=True)
class Requested:
    """An intent is on its origin; times are the chain's, in seconds."""

    id: bytes
    payload_hash: bytes
    deadline: int
    time: int


@dataclass(frozen=True)
class Delivered:
    """An answer is on a destination; `signers` are recovered from what its transaction handed over."""

    id: bytes
    status: int
    output: bytes
    signers: tuple[str, ...]
    time: int


@dataclass(frozen=True)
class Settled:
    """An intent has ended on its origin; a refund has no status."""

    id: bytes
    status: int | None
    time: int


News = Requested | Delivered | Settled


@dataclass
class Intent:
    """One intent's life; `delivered` has the destination's number with each delivery."""

    asked: Requested
    origin: int
    delivered: list[tuple[int, Delivered]] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)


class Books:
    """All intents, as the final blocks of all chains have them."""

    def __init__(self) -> None:
        self.intents: dict[bytes, Intent] = {}
        self._by_payload: dict[bytes, list[Intent]] = {}
        # Chains are read one after the other: a delivery may be read before its request.
        self._early: dict[bytes, list[tuple[int, Delivered | Settled]]] = {}

    def take(self, chain: int, news: Iterable[News]) -> None:
        """Write down what a chain says, in its order."""
        for each in news:
            if isinstance(each, Requested):
                assert each.id not in self.intents, f"a hub repeats 0x{each.id.hex()}"
                intent = self.intents[each.id] = Intent(each, chain)
                self._by_payload.setdefault(each.payload_hash, []).append(intent)
                for number, early in self._early.pop(each.id, []):
                    self._note(number, early)
            elif each.id in self.intents:
                self._note(chain, each)
            else:
                self._early.setdefault(each.id, []).append((chain, each))

    def of(self, question: Question) -> list[Intent]:
        """The intents with a question's payload: one, if all is well."""
        return self._by_payload.get(keccak(question.payload), [])

    def ended(self, questions: Iterable[Question]) -> int:
        """How many of these have been settled or refunded."""
        return sum(any(intent.settled for intent in self.of(each)) for each in questions)

    def strangers(self) -> int:
        """How many intents that nobody asked were answered, settled or refunded."""
        return len(self._early)

    def _note(self, chain: int, news: Delivered | Settled) -> None:
        intent = self.intents[news.id]
        if isinstance(news, Delivered):
            intent.delivered.append((chain, news))
        else:
            intent.settled.append(news)


def intent_id_of(intent: Message) -> bytes:
    """An intent's id, by eth_account."""
    return bytes(_signable("Intent", intent, bytes(32)).body)


def signers_of(attestation: Message, hub_id: bytes, signatures: Iterable[bytes]) -> tuple[str, ...]:
    """The addresses that have signed an attestation for a hub, by eth_account, in lower case."""
    signable = _signable("Attestation", attestation, hub_id)
    return tuple(Account.recover_message(signable, signature=each).lower() for each in signatures)


def _signable(kind: str, message: Message, hub_id: bytes) -> SignableMessage:
    domain = {"name": "vagus", "version": "1", "salt": hub_id}
    return encode_typed_data(domain, {kind: _TYPES[kind]}, message)
