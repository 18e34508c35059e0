"""The committee of one: this node's signature is a quorum where the hub's threshold is 1 of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vagus.daemon.committee.base import Committee, Decided
from vagus.daemon.committee.rotations import Rotations
from vagus.daemon.committee.tally import Tally
from vagus.protocol import verify_quorum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from vagus.daemon.committee.base import Signing, Work
    from vagus.daemon.journal.records import IntentRecord
    from vagus.protocol import Attestation, Receipt, SignerSet

__all__ = ["SoleSigner"]


class SoleSigner(Committee):
    """Decides by its own run alone, and has nobody to wait for."""

    alone = True

    def __init__(self, signer: Signing) -> None:
        self._signer = signer
        self.address = signer.address
        self.tally = Tally()
        self.rotations = Rotations(lambda: {self.address})

    def __repr__(self) -> str:
        return f"<SoleSigner 0x{self.address.hex()}>"

    def reach(self, current: SignerSet) -> int:
        """Return 1."""
        return 1

    async def decide(self, record: IntentRecord, current: SignerSet, work: Work) -> Decided:
        """Return what the own run came to; raises what it raises."""
        return Decided(await work.attempt(), self.address)

    async def sign(
        self,
        record: IntentRecord,
        message: Attestation | Receipt,
        hub_id: bytes,
        current: SignerSet,
        needed: int,
    ) -> Sequence[bytes]:
        """Return the own signature, verified as the hub will verify it."""
        digest = message.digest(hub_id)
        signatures = (await self._signer.sign(message, hub_id),)
        verify_quorum(digest, signatures, current.signers, max(needed, current.threshold))
        return signatures

    def rank(self, record: IntentRecord, current: SignerSet) -> int:
        """Return 0: nobody sends before it."""
        return 0

    async def run(self) -> None:
        """There is nothing beside the intents."""

    async def joined(self) -> None:
        """There is nobody to ask."""

    def present(self) -> set[bytes]:
        """Return this node's own signer."""
        return {self.address}

    def faults(self) -> dict[str, str]:
        """None: what is wrong is wrong with the node."""
        return {}

    def view(self) -> dict[str, Any]:
        """Return that it is alone."""
        return {
            "signer": f"0x{self.address.hex()}",
            "waits": None,
            "rosters": [],
            "envelopes": {},
            "lately": {},
            "sent": {"envelopes": 0, "bytes": 0},
            "transports": [],
            "members": [],
        }

    def routes(self) -> list[web.RouteDef]:
        """Return none."""
        return []

    def standing(self, record: IntentRecord) -> dict[str, Any] | None:
        """None: nothing is waited for from others."""

    def ended(self, record: IntentRecord) -> None:
        """Nothing is kept."""
