"""The errors of vagus: the class says what the supervisor does, nobody parses a message.

    VagusError
     ├─ Retry            nothing is decided: do the same again after `after` seconds
     ├─ Refuse           final for this intent: it is answered with status 1 or dropped
     ├─ Halt             final for this chain: stop acting on it until a human has looked
     ├─ SignatureError   bytes that are no valid signature (also a ValueError)
     └─ QuorumError      signatures that are no quorum of a signer set (also a ValueError)

Adapters, backends and agents raise Retry, Refuse and Halt and never retry on their own.
"""


class VagusError(Exception):
    """The root of every error that vagus raises on purpose."""


class Retry(VagusError):  # noqa: N818 - named for the action it asks for
    """A passing fault: the same step may succeed after `after` seconds."""

    def __init__(self, reason: str, after: float = 1.0) -> None:
        super().__init__(reason, after)
        self.reason = reason
        self.after = after

    def __str__(self) -> str:
        return f"{self.reason} (retry after {self.after:g} s)"


class Refuse(VagusError):  # noqa: N818 - named for the action it asks for
    """A final no for one intent: trying again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Halt(VagusError):  # noqa: N818 - named for the action it asks for
    """What was seen on `chain` (CAIP-2) must not happen: act on it no more."""

    def __init__(self, chain: str, reason: str) -> None:
        super().__init__(chain, reason)
        self.chain = chain
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.chain}: {self.reason}"


class SignatureError(ValueError, VagusError):
    """Bytes that are not a valid 65-byte signature over the digest."""


class QuorumError(ValueError, VagusError):
    """A malformed signer set, or signatures that are not a quorum of it."""
