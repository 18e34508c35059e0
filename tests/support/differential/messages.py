"""What is compared: the four messages, and what a hub is handed with them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from coincurve import PrivateKey

from support.hub import HubClient
from vagus.protocol import Attestation, Intent, Receipt, Rotation

__all__ = [
    "KINDS",
    "NOTHING",
    "Bounds",
    "Delivering",
    "Message",
    "Signable",
    "members",
    "values",
]

Message = Intent | Attestation | Receipt | Rotation
KINDS = (Intent, Attestation, Receipt, Rotation)
NOTHING = Intent.decode(bytes(14 * 32))
"""What an attestation is encoded with where its intent does not matter."""


class Signable(NamedTuple):
    """A message, and the hub that would verify it."""

    message: Message
    hub: bytes


class Delivering(NamedTuple):
    """What a deliverer hands over; `members` are the places of who signed."""

    intent: Intent
    attestation: Attestation
    output: bytes
    signatures: tuple[bytes, ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class Bounds:
    """What one hub accepts: `now` in seconds, `keys` of its signers in their order."""

    hub: bytes
    epoch: int
    now: int
    ttl: int
    fee_bits: int
    max_callback_gas: int
    keys: Sequence[PrivateKey]
    threshold: int

    @classmethod
    def of(cls, client: HubClient, now: int, ttl: int, fee_bits: int) -> Self:
        """Those of a hub, as its client reads it."""
        return cls(
            hub=client.id,
            epoch=client.epoch,
            now=now,
            ttl=ttl,
            fee_bits=fee_bits,
            max_callback_gas=client.config["maxCallbackGas"],
            keys=[PrivateKey(bytes(key.key)) for key in client.keys],
            threshold=client.threshold,
        )


def members(kind: type[Message]) -> list[tuple[str, str]]:
    """The types and names of a message's fields, from its EIP-712 type."""
    inside = kind.TYPE[kind.TYPE.index("(") + 1 : -1]
    return [(of, name) for of, name in (each.split() for each in inside.split(","))]


def values(it: Any) -> tuple[Any, ...]:
    """What a dataclass or a named tuple holds, in its order, and what is in there likewise."""
    if dataclasses.is_dataclass(it):
        return tuple(values(getattr(it, field.name)) for field in dataclasses.fields(it))
    return tuple(map(values, it)) if isinstance(it, tuple) else it
