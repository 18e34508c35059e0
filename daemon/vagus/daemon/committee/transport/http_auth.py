r"""Who sends an HTTP request, known from its head: before a byte of its body is read.

    Authorization: Vagus <window>.<nonce>.<body hash>.<signature>

in hex: 32, 16, 32 and 65 bytes. The signature is the sender's transport key's over keccak256(b"\x19vagus
http\x01" ‖ network ‖ receiver's transport address ‖ window ‖ nonce ‖ keccak256(body)). The window is the
receiver's: a random word that it makes anew each half a minute and names in every answer, so that
nobody's clock matters. Within a window it remembers what it has taken.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from vagus.protocol import SignatureError, VagusError, keccak256, recover, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from coincurve import PrivateKey

__all__ = ["SCHEME", "StaleError", "StrangerError", "Windows", "authorization"]

SCHEME = "Vagus"
WINDOW = 30.0
"""Seconds after which a receiver makes a new window; the one before still counts."""

MAX_REQUESTS = 8192
"""Requests of one peer that are taken in one window."""

_PARTS = re.compile(r"Vagus ([0-9a-f]{64})\.([0-9a-f]{32})\.([0-9a-f]{64})\.([0-9a-f]{130})")
_TAG = b"\x19vagus http\x01"


class StrangerError(VagusError):
    """The request is not shown to be from a peer: why, as it is counted."""


class StaleError(VagusError):
    """A peer has signed the request for a window that is over: it will ask again for the new one."""


def authorization(
    key: PrivateKey, network: bytes, receiver: bytes, window: bytes, body: bytes
) -> str:
    """Return the header for a body (bytes) to a peer (its 20-byte transport address)."""
    nonce, body_hash = secrets.token_bytes(16), keccak256(body)
    signature = sign(_digest(network, receiver, window, nonce, body_hash), key)
    return f"{SCHEME} {window.hex()}.{nonce.hex()}.{body_hash.hex()}.{signature.hex()}"


class Windows:
    """A receiver's windows, and what it took in each. `now` is a monotonic clock, in seconds."""

    def __init__(self, network: bytes, receiver: bytes, now: Callable[[], float]) -> None:
        self._network = network
        self._receiver = receiver
        self._now = now
        self._made = now()
        self._current = secrets.token_bytes(32)
        # By window, by peer: the nonces that were taken.
        self._taken: dict[bytes, dict[bytes, set[bytes]]] = {self._current: {}}

    @property
    def current(self) -> bytes:
        """The window that a request should name."""
        age = self._now() - self._made
        if age > WINDOW:
            kept = {self._current: self._taken[self._current]} if age <= 2 * WINDOW else {}
            self._made = self._now()
            self._current = secrets.token_bytes(32)
            self._taken = {**kept, self._current: {}}
        return self._current

    def admit(self, header: str, peers: frozenset[bytes]) -> tuple[bytes, bytes]:
        """Return which peer has signed a request, and the hash that its body must have.

        Raises StrangerError, StaleError. A header is admitted once.
        """
        parts = _PARTS.fullmatch(header)
        if parts is None:
            raise StrangerError("unsigned")
        window, nonce, body_hash, signature = map(bytes.fromhex, parts.groups())
        digest = _digest(self._network, self._receiver, window, nonce, body_hash)
        try:
            peer = recover(digest, signature)
        except SignatureError:
            raise StrangerError("forged") from None
        if peer not in peers:
            raise StrangerError("stranger")
        _ = self.current  # makes a new one if it is time
        if window not in self._taken:
            raise StaleError("stale")
        taken = self._taken[window].setdefault(peer, set())
        if nonce in taken:
            raise StrangerError("replayed")
        if len(taken) >= MAX_REQUESTS:
            raise StrangerError("too many")
        taken.add(nonce)
        return peer, body_hash


def _digest(network: bytes, receiver: bytes, window: bytes, nonce: bytes, body: bytes) -> bytes:
    return keccak256(_TAG + network + receiver + window + nonce + body)
