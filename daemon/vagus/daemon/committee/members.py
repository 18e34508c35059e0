"""The other members as they were last heard of: when, what they said of themselves, how far they are."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from vagus.daemon.printable import printable
from vagus.protocol.envelope import DURABLE, Envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vagus.daemon.journal.base import Journal

__all__ = ["PRESENT_SECONDS", "Heard", "Members"]

PRESENT_SECONDS = 15.0
"""Without a word for so long a member counts as away."""
_MAX_BEAT = 4096
_COUNTED = 1000


@dataclass(slots=True)
class Heard:
    """What is known of one member. `at` is this node's monotonic clock, None: never heard."""

    at: float | None = None
    beat: dict[str, Any] = field(default_factory=dict)
    clock: int | None = None
    beaten: int = 0
    sequence: int = 0
    envelope: bytes = b""


class Members:
    """Every other member of the rosters that count."""

    def __init__(self, signers: Iterable[bytes]) -> None:
        self.by_signer = {signer: Heard() for signer in signers}
        self._changed: set[bytes] = set()
        # Who took part in the newest intents that ended here.
        self._parts: deque[frozenset[bytes]] = deque(maxlen=_COUNTED)

    async def load(self, journal: Journal) -> None:
        """Take up the highest envelope that was heard of each member in earlier lives."""
        for signer, (sequence, envelope) in (await journal.heard()).items():
            self.by_signer[signer] = Heard(sequence=sequence, envelope=envelope)

    def note(self, envelope: Envelope, frame: bytes) -> None:
        """Note that a member was heard of."""
        known = self.by_signer.setdefault(envelope.sender, Heard())
        if envelope.kind in DURABLE and envelope.sequence > known.sequence:
            # What is said again, by whomever, shows nobody to be there.
            known.at = time.monotonic()
            known.sequence, known.envelope = envelope.sequence, frame
            self._changed.add(envelope.sender)

    def beat(self, envelope: Envelope) -> bool:
        """Take a heartbeat; False for an old one and what is none."""
        known = self.by_signer[envelope.sender]
        if len(envelope.body) > _MAX_BEAT or envelope.sequence <= known.beaten:
            return False
        try:
            known.beat = msgspec.json.decode(envelope.body, type=dict[str, Any])
            clock = known.beat.get("time")
            if isinstance(clock, int) and 0 <= clock < 1 << 40:
                known.clock = round(clock - time.time())
        except (msgspec.MsgspecError, RecursionError):
            return False
        known.beaten = envelope.sequence
        known.at = time.monotonic()
        return True

    def present(self) -> set[bytes]:
        """Return who was heard of lately."""
        since = time.monotonic() - PRESENT_SECONDS
        return {
            signer
            for signer, known in self.by_signer.items()
            if known.at is not None and known.at >= since
        }

    def took_part(self, members: set[bytes]) -> None:
        """Note who was heard of about an intent that has ended."""
        self._parts.append(frozenset(members))

    def view(self, own: Mapping[str, Any], signers: set[bytes]) -> list[dict[str, Any]]:
        """Return each of these members as people see it; `own` is this node's heartbeat, to compare with.

        `lag` is by how many final blocks it is behind this node, by chain; `runway` how many transactions
        it says that it can pay for there; `clock` how many seconds
        its clock is ahead; `took_part` in how many of the newest intents that ended here.
        """
        now = time.monotonic()
        return [
            {
                "signer": "0x" + signer.hex(),
                "heard": None if known.at is None else round(now - known.at, 1),
                "present": known.at is not None and now - known.at <= PRESENT_SECONDS,
                "version": printable(str(known.beat.get("version", "")))[:64] or None,
                "clock": known.clock,
                "lag": _lag(own, known.beat),
                "runway": _runway(known.beat),
                "took_part": sum(signer in each for each in self._parts),
                "of": len(self._parts),
            }
            for signer, known in (
                (each, self.by_signer.get(each, Heard())) for each in sorted(signers)
            )
        ]

    async def keep(self, journal: Journal) -> None:
        """Make durable what members said last, so that they can be told after their restart."""
        changed, self._changed = self._changed, set()
        for signer in changed:
            known = self.by_signer[signer]
            await journal.hear(signer, known.sequence, known.envelope)


def _lag(own: Mapping[str, Any], beat: Mapping[str, Any]) -> dict[str, int]:
    """Return by how many final blocks a member is behind this node; a chain it says nothing of is left out."""
    theirs, found = beat.get("chains"), {}
    for chain, heads in own["chains"].items():
        other = theirs.get(chain) if isinstance(theirs, dict) else None
        final = other.get("final") if isinstance(other, dict) else None
        if heads is not None and isinstance(final, int):
            found[chain] = heads["final"] - final
    return found


def _runway(theirs: Mapping[str, Any]) -> dict[str, int]:
    """Return how many transactions a member can pay for, by chain; what it does not say is left out."""
    chains = theirs.get("chains")
    found = {
        printable(str(chain))[:64]: head.get("runway")
        for chain, head in (chains.items() if isinstance(chains, dict) else ())
        if isinstance(head, dict)
    }
    return {chain: left for chain, left in found.items() if isinstance(left, int) and left >= 0}
