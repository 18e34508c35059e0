"""Random messages, questions and deliveries from one seed: the same ones in every run.

Almost a third of all values lie at an edge of what their type may hold, where codecs differ first: zero, the
largest, one bit, words that begin or end with zeros, bytes that are empty or as long as a hub takes.
"""

import dataclasses
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

from support.differential.messages import KINDS, Bounds, Delivering, Message, Signable, members
from vagus.adapters.base import Question
from vagus.protocol import (
    MAX_OUTPUT,
    MAX_PAYLOAD,
    MAX_TERMS,
    ZERO32,
    Attestation,
    Intent,
    Receipt,
    Rotation,
    hub_id,
    keccak256,
    pack_address,
    sign,
)

__all__ = ["Draw", "signables"]

M = TypeVar("M", Intent, Attestation, Receipt, Rotation)

ACCOUNTS = [
    ("eip155:1", "0x" + "11" * 20),
    ("eip155:31337", "0x5fbdb2315678afecb367f032d93f642f64180aa3"),
    ("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "Vagu5Hub11111111111111111111111111111111111"),
    ("solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", "Vagu5Hub11111111111111111111111111111111111"),
    ("cosmos:cosmoshub-4", "cosmos1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5lzv7xu"),
    ("cosmos:vagus-1", "wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"),
]
HUBS = [hub_id(f"{chain}:{address}") for chain, address in ACCOUNTS]
WORDS = [
    ZERO32,
    b"\xff" * 32,
    ZERO32[1:] + b"\x01",
    b"\x80" + ZERO32[1:],
    ZERO32[16:] + b"\xff" * 16,
    b"\xff" * 16 + ZERO32[16:],
    bytes(range(32)),
    *(pack_address(chain, address) for chain, address in ACCOUNTS),
]
U64 = [0, 1, 0xFF, 0x100, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
U256 = [*U64, 2**64, 2**128 - 1, 2**128, 2**255, 2**256 - 1]


class Draw:
    """All that is random."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = Random(seed)

    # Values

    def word(self) -> bytes:
        """A bytes32."""
        chance = self._random.random()
        if chance < 0.2:
            return self._random.choice(WORDS)
        return self._random.choice(HUBS) if chance < 0.3 else self._random.randbytes(32)

    def hub(self) -> bytes:
        """A hub's id: of each namespace, or any word."""
        return self._random.choice(HUBS) if self._random.random() < 0.7 else self.word()

    def address(self) -> bytes:
        """The 20 bytes of an account."""
        edge = self._random.random() < 0.02
        return self._random.choice([b"\xff" * 20, b"\x12" + bytes(19)]) if edge else self._bytes(20)

    def number(self, bits: int = 64) -> int:
        """A number of at most so many bits, of any length with the same chance."""
        if self._random.random() < 0.3:
            return self._random.choice([edge for edge in U256 if edge < 2**bits])
        return self._random.getrandbits(self._random.randint(1, bits))

    def data(self, most: int) -> bytes:
        """Bytes: mostly few, now and then none or as many as there may be."""
        chance = self._random.random()
        if chance < 0.1:
            return b""
        if chance < 0.11:
            return self._bytes(most)
        if chance < 0.2:
            return self._bytes(self._random.choice([31, 32, 33, 64]))
        return self._bytes(self._random.randint(1, most if chance < 0.21 else min(most, 64)))

    def _bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    # Messages with any values

    def signables(self, pairs: int) -> Iterator[Signable]:
        """So many intents and as many attestations; one receipt and one rotation for every ten.

        In front the edges, one by one: each field zero or the largest while the others are random,
        and all of them at once.
        """
        for kind in KINDS:
            yield from (Signable(edge, self.hub()) for edge in self._edges(kind))
        for number in range(pairs):
            intent = self.message(Intent)
            yield Signable(intent, intent.dest_hub)
            attestation = self.message(Attestation)
            if number % 2:
                attestation = dataclasses.replace(attestation, intent_id=intent.id)
            yield Signable(attestation, intent.dest_hub)
            if number % 10 == 0:
                yield Signable(self.message(Receipt), intent.origin_hub)
                yield Signable(self.message(Rotation), self.hub())

    def message(self, kind: type[M]) -> M:
        """A message whose every field may be anything."""
        return kind(*(draw() for draw in self._fields(kind)))

    def _fields(self, kind: type[Message]) -> list[Callable[[], Any]]:
        draws: dict[str, Callable[[], Any]] = {
            "bytes32": self.word,
            "uint64": self.number,
            "uint256": lambda: self.number(256),
        }
        return [draws[of] for of, _ in members(kind)]

    def _edges(self, kind: type[Message]) -> Iterator[Message]:
        least: dict[str, Any] = {"bytes32": ZERO32, "uint64": 0, "uint256": 0}
        most: dict[str, Any] = {"bytes32": b"\xff" * 32, "uint64": 2**64 - 1, "uint256": 2**256 - 1}
        for ends in (least, most):
            yield kind(*(ends[of] for of, _ in members(kind)))
            for place, (of, _) in enumerate(members(kind)):
                values = [draw() for draw in self._fields(kind)]
                values[place] = ends[of]
                yield kind(*values)

    # What one hub accepts

    def question(self, bounds: Bounds) -> Question:
        """A question that a hub takes."""
        destination = self.hub() if self._random.random() < 0.9 else bounds.hub
        gas = self.number()
        return Question(
            agent_id=self.word(),
            payload=self.data(MAX_PAYLOAD),
            model_digest=self.word(),
            terms=self.data(MAX_TERMS),
            min_signers=self.number(),
            dest_hub=destination,
            callback=self.word(),
            callback_gas=min(gas, bounds.max_callback_gas) if destination == bounds.hub else gas,
            deadline=bounds.now
            + self._random.choice([bounds.ttl, self._random.randint(0, bounds.ttl)]),
            fee=self.number(bounds.fee_bits),
        )

    def delivering(self, bounds: Bounds) -> Delivering:
        """A delivery that a hub takes, signed by as many members as the requester wants."""
        output, status = self.data(MAX_OUTPUT), self._random.choice([0, 0, 1, 2])
        fulfilled = status == 0
        members = self._members(bounds)
        latest = max(bounds.now, 2**63)
        intent = dataclasses.replace(
            self.message(Intent),
            min_signers=self._random.randint(0, len(members)) if fulfilled else self.number(),
            dest_hub=bounds.hub,
            fee_asset=ZERO32,
            deadline=self._random.choice([bounds.now + bounds.ttl, latest, 2**64 - 1]),
        )
        model = intent.model_digest if any(intent.model_digest) else self.word()
        attestation = Attestation(
            intent_id=intent.id,
            origin_hub=intent.origin_hub,
            status=status,
            output_hash=keccak256(output if fulfilled else b""),
            agent_digest=self.word() if fulfilled else ZERO32,
            model_digest=model if fulfilled else ZERO32,
            evidence_hash=self.word(),
            epoch=bounds.epoch,
            expiry=self._random.choice([bounds.now + bounds.ttl, latest, 2**64 - 1]),
        )
        digest = attestation.digest(bounds.hub)
        signatures = tuple(sign(digest, bounds.keys[place]) for place in members)
        return Delivering(
            intent, attestation, output if fulfilled else b"", signatures, tuple(members)
        )

    def _members(self, bounds: Bounds) -> list[int]:
        count = self._random.randint(bounds.threshold, len(bounds.keys))
        return sorted(self._random.sample(range(len(bounds.keys)), count))


def signables(pairs: int) -> int:
    """How many messages `Draw.signables` draws."""
    edges = sum(2 * (1 + len(members(kind))) for kind in KINDS)
    return edges + 2 * pairs + 2 * -(-pairs // 10)
