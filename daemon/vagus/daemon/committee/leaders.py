"""Who leads which round of an intent, and in which order members send its transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.protocol import keccak256

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["leaders", "most_faulty", "rank"]


def leaders(intent_id: bytes, block_hash: bytes, signers: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a set's members in the order in which they lead: by rendezvous hashing, highest first.

    `block_hash` is of the final block that holds the request: who asks cannot choose who leads.
    """
    return tuple(
        sorted(signers, key=lambda signer: keccak256(intent_id + block_hash + signer), reverse=True)
    )


def rank(order: Sequence[bytes], executor: bytes, me: bytes, present: Collection[bytes]) -> int:
    """Return how many of the members that are present send before this one: the executor first."""
    first = order.index(executor) if executor in order else 0
    turn = [*order[first:], *order[:first]]
    ahead = turn[: turn.index(me)] if me in turn else turn
    return sum(member in present for member in ahead)


def most_faulty(size: int) -> int:
    """Return how many liars a set of this size can stand, by the threshold that stands the most."""
    return (size - 1) // 3
