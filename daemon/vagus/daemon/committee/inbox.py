"""What comes from the wire: each envelope is checked and counted before anyone acts upon it."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Protocol

from vagus.protocol.envelope import Envelope, EnvelopeError, open_envelope
from vagus.protocol.errors import SignatureError
from vagus.protocol.hashing import keccak256
from vagus.protocol.limits import MAX_ENVELOPE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Inbox"]

# Bytes of envelopes remembered as checked: most of what comes was sent again, or by another broker.
_REMEMBERED = 16 << 20


class Counted(Protocol):
    """The rosters that count, by their digests."""

    def get(self, digest: bytes, /) -> Mapping[bytes, bytes] | None:
        """Return, by signer, the transport key's address of a roster's members; None: it does not count."""
        ...

    def replaced(self, digest: bytes, /) -> bool:
        """Whether a roster that does not count is one that came before those which do."""
        ...


class Inbox:
    """Opens envelopes. `counts` says how many were taken, and dropped by reason.

    `rosters` has, by the digest of each roster that counts, who its members are.
    """

    def __init__(self, network: bytes, rosters: Counted) -> None:
        self._network = network
        self._rosters = rosters
        self._known: OrderedDict[bytes, tuple[Envelope, int]] = OrderedDict()
        self._size = 0
        self.counts: Counter[str] = Counter()

    def open(self, frame: bytes) -> Envelope | None:
        """Return a frame's envelope if it is one of a member of this committee; None if dropped."""
        if len(frame) > MAX_ENVELOPE:
            self.counts["oversized"] += 1
            return None
        key = keccak256(frame)
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            self.counts["again"] += 1
            return known[0]
        try:
            envelope, signer = open_envelope(frame)
        except SignatureError:
            self.counts["forged"] += 1
        except EnvelopeError:
            self.counts["malformed"] += 1
        else:
            if reason := self._refused(envelope, signer):
                self.counts[reason] += 1
                return None
            self.counts["taken"] += 1
            self._remember(key, envelope, len(frame))
            return envelope
        return None

    def _remember(self, key: bytes, envelope: Envelope, size: int) -> None:
        self._known[key] = envelope, size
        self._size += size
        while self._size > _REMEMBERED:
            _, (_, old) = self._known.popitem(last=False)
            self._size -= old

    def _refused(self, envelope: Envelope, signer: bytes) -> str | None:
        if envelope.network != self._network:
            return "foreign"
        members = self._rosters.get(envelope.roster)
        if members is None:
            # Others speak by it until the grace is over, and this node may never have had it.
            return "replaced" if self._rosters.replaced(envelope.roster) else "stale"
        if envelope.sender not in members:
            return "stranger"
        return None if members[envelope.sender] == signer else "forged"
