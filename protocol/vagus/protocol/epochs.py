"""Which of a hub's signer sets an intent belongs to, while one set gives way to the next."""

from vagus.protocol.errors import Retry
from vagus.protocol.quorum import SignerSet

__all__ = ["deciding"]


def deciding(
    current: SignerSet,
    previous: SignerSet | None,
    *,
    rotated_at: int,
    previous_until: int,
    requested_at: int,
    now: int,
) -> SignerSet:
    """Return the set that decides an intent and signs its attestation: every member finds the same.

    It is the set in force at the destination when the intent was asked for, and once that has stopped
    counting there, the one after it. Times are in seconds: `requested_at` is the origin's block's, the
    others are the destination's, `now` the final block's by which the sets were read. Raises Retry
    where that block is older than the request: a rotation before the request may not be final yet.
    """
    if now < requested_at:
        late = f"the destination's final block is {requested_at - now} s older than the request"
        raise Retry(f"{late}: its signers at that time are not known yet", after=1.0)
    if previous is None or rotated_at <= requested_at or previous_until < now:
        return current
    return previous
