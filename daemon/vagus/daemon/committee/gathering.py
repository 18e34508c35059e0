"""Signatures of a committee over one message, until there are enough."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vagus.protocol import SignatureError, recover

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Gathering"]


class Gathering:
    """Takes signatures of the members of a set over a digest, each member's once."""

    def __init__(self, digest: bytes, signers: Sequence[bytes], needed: int) -> None:
        self.digest = digest
        self.needed = needed
        self.members = frozenset(signers)
        self._found: dict[bytes, bytes] = {}
        self.full = asyncio.Event()

    def add(self, digest: bytes, signature: bytes) -> bool:
        """Take a signature; False for one over another message, or of nobody in the set."""
        if digest != self.digest:
            return False
        try:
            signer = recover(digest, signature)
        except SignatureError:
            return False
        if signer not in self.members:
            return False
        self._found[signer] = signature
        if len(self._found) >= self.needed:
            self.full.set()
        return True

    @property
    def signers(self) -> frozenset[bytes]:
        """Who has signed so far."""
        return frozenset(self._found)

    def quorum(self) -> tuple[bytes, ...]:
        """Return as many signatures as are needed, ascending by their signers."""
        return tuple(self._found[each] for each in sorted(self._found)[: self.needed])
