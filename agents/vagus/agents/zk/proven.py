"""One proven run of a circuit: its public numbers, and the proof of them.

ezkl computes with fixed-point numbers, whole ones with a scale of powers of two, as elements of the
scalar field of the curve BN254 (alt_bn128): a negative number is the prime less its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["MAX_NUMBER", "MAX_NUMBERS", "MAX_PROOF", "MAX_PROOFS", "Proven", "Proving", "read_felt"]

# So much fits into an evidence document (64 KiB).
MAX_PROOFS = 4
MAX_PROOF = 16 << 10
MAX_NUMBERS = 512
# A circuit is fed by single precision, which has such whole numbers exactly; its outputs are larger.
MAX_NUMBER = 1 << 24

PRIME = 21888242871839275222246405745257275088548364400416034343698204186575808495617
_FELT = 32


@dataclass(frozen=True, slots=True)
class Proven:
    """inputs, outputs: whole numbers, as the circuit's settings scale them. proof: ezkl's own bytes."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    proof: bytes

    @property
    def canonical(self) -> bool:
        """Whether each number is the one that its element of the field stands for, and not one beside it."""
        return all(2 * abs(each) < PRIME for each in (*self.inputs, *self.outputs))

    def snark(self) -> dict[str, object]:
        """Return it as the JSON that ezkl reads."""
        numbers = [felt(each) for each in (*self.inputs, *self.outputs)]
        return {
            "protocol": None,
            "instances": [numbers],
            "proof": list(self.proof),
            "hex_proof": "0x" + self.proof.hex(),
            "split": None,
            "pretty_public_inputs": None,
            "timestamp": None,
            "version": None,
        }


class Proving(Protocol):
    """Runs an agent's circuit: at who leads it makes a proof, at a follower it checks the leader's."""

    async def prove(self, inputs: Sequence[int], *, timeout: float) -> Proven:
        """Return a proven run on these numbers. Raises Refuse, and Retry where it takes too long."""
        ...


def felt(number: int) -> str:
    """Return a number as an element of the field: 64 hex digits, the least significant byte first."""
    return (number % PRIME).to_bytes(_FELT, "little").hex()


def read_felt(text: str) -> int:
    """Return the number that an element stands for. Raises ValueError."""
    value = int.from_bytes(bytes.fromhex(text), "little")
    if len(text) != 2 * _FELT or value >= PRIME:
        raise ValueError("it is no element of the field")
    return value if value <= PRIME // 2 else value - PRIME
