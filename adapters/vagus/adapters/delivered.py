"""What a delivery's own transaction said: its proof, for anyone who checks it later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vagus.protocol import Attestation, Intent

__all__ = ["Delivered"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The arguments of a `deliver` that a hub took, and the final block's height that has it.

    The hub keeps an outcome's hashes and who signed; the signatures themselves, 65 bytes each, and
    the whole attestation are in the transaction alone.
    """

    tx_id: str
    height: int
    intent: Intent
    attestation: Attestation
    output: bytes
    signatures: tuple[bytes, ...]
