"""The committee: who signs what the node has decided. For now it has one member, this node.

Everything around it speaks of signature lists and signer sets, so that a committee of many takes
this one's place without the pipeline noticing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.protocol import Refuse, Retry, address_of, sign, verify_quorum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coincurve import PrivateKey

    from vagus.protocol import Attestation, Receipt, SignerSet

__all__ = ["SoleSigner"]


class SoleSigner:
    """A committee of one: its signature is a quorum where the hub's threshold is 1 of 1."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.address = address_of(key)

    def __repr__(self) -> str:
        return f"<SoleSigner 0x{self.address.hex()}>"

    def require(self, current: SignerSet, min_signers: int) -> int:
        """Return how many signatures an intent needs, or refuse an intent that can't get them.

        Raises Refuse where the requester asks for more signers than the set has, Retry where this
        node alone is no quorum of the hub's current set (a rotation may change that).
        """
        if min_signers > len(current.signers):
            raise Refuse(
                f"{min_signers} signers were asked for, the set has {len(current.signers)}"
            )
        needed = max(current.threshold, min_signers)
        if self.address not in current.signers or needed > 1:
            raise Retry(
                f"the hub's set needs {needed} of {len(current.signers)} signers, and this node is"
                f" {'one' if self.address in current.signers else 'none'} of them",
                after=30.0,
            )
        return needed

    async def sign(
        self, message: Attestation | Receipt, hub_id: bytes, current: SignerSet
    ) -> Sequence[bytes]:
        """Return a quorum of signatures over a decided message, ascending by their signers.

        What was decided is journalled before this is called. The quorum is verified as the hub
        will verify it, before anything is paid for.
        """
        digest = message.digest(hub_id)
        signatures = (sign(digest, self._key),)
        verify_quorum(digest, signatures, current.signers, current.threshold)
        return signatures
