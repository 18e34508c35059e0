"""Payloads that a committee's members alone can read: sealed by who asks, opened by each member."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vagus.daemon.http_client import get_bytes
from vagus.daemon.roster import MAX_ROSTER, read_roster
from vagus.protocol import MAX_PAYLOAD, ZERO32, Refuse, Retry, VagusError, keccak256
from vagus.protocol.sealing import (
    is_sealed,
    payload_context,
    seal,
    sealed_readers,
    secret_context,
    tag_of,
    unseal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vagus.adapters.base import HubState
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.transport_key import TransportKey

__all__ = ["UNTOLD", "Opener", "readers_of", "seal_payload", "sealed_to", "unquoted"]

UNTOLD = "the question is sealed, and words about it could quote it"
"""Why a sealed question was not answered, where an agent, a model or a server said so."""

# What no member's clock heals: the roster may change, so it is looked at again.
_LATER = 60.0


class Opener:
    """Opens sealed payloads with a member's X25519 secret; the plaintext is kept nowhere."""

    def __init__(self, key: TransportKey | None) -> None:
        self._key = key

    def payload(self, record: IntentRecord) -> bytes:
        """Return an intent's payload as its agent reads it.

        Raises Retry where it is sealed to others, who may answer without this node, and Refuse
        where nobody can open it: it is damaged, or another's, copied.
        """
        if not is_sealed(record.payload):
            return record.payload
        intent = record.intent
        context = payload_context(intent.origin_hub, intent.requester, intent.agent_id)
        return self._open(record.payload, context, "the payload")

    def secrets(
        self, record: IntentRecord, wanted: Iterable[tuple[bytes, str]]
    ) -> dict[tuple[bytes, str], str]:
        """Open what an intent's requester has sealed for its agent, each for one HTTPS host.

        Raises Retry where one is sealed to others, Refuse where one can't be opened or is no ASCII.
        """
        intent, found = record.intent, {}
        for sealed, host in wanted:
            context = secret_context(intent.origin_hub, intent.requester, intent.agent_id, host)
            try:
                found[sealed, host] = self._open(sealed, context, "a secret").decode("ascii")
            except UnicodeDecodeError:
                raise Refuse("a secret is not ASCII") from None
        return found

    def _open(self, sealed: bytes, context: bytes, what: str) -> bytes:
        if self._key is None:
            raise Retry(f"{what} is sealed, and this node has no transport key", _LATER)
        try:
            if tag_of(self._key.x25519) in sealed_readers(sealed):
                return unseal(sealed, self._key.x25519_secret, context)
        except Refuse as error:
            raise Refuse(f"{what} can't be opened: {error.reason}") from None
        raise Retry(f"{what} is sealed to other members than this one", _LATER)


@contextlib.contextmanager
def unquoted(record: IntentRecord) -> Iterator[None]:
    """Say UNTOLD instead of what was said about a sealed question: a Refuse is published, a Retry shown.

    Around what reads the plaintext: an agent's or a server's words may have some of it.
    """
    try:
        yield
    except Refuse:
        if is_sealed(record.payload):
            raise Refuse(UNTOLD) from None
        raise
    except Retry as error:
        if is_sealed(record.payload):
            raise Retry(UNTOLD, error.after) from None
        raise


async def readers_of(node: str, hub: str, state: HubState) -> list[bytes]:
    """Return the X25519 keys, 32 bytes each, of a hub's signers, by the roster that the hub names.

    `node` serves the roster; it is held against its hash. Raises VagusError where a member has none.
    """
    digest = state.roster_hash
    if digest == ZERO32:
        raise VagusError(f"{hub} names no roster: nothing can be sealed to its signers")
    document = await get_bytes(node, f"/v1/roster/0x{digest.hex()}", MAX_ROSTER)
    if keccak256(document) != digest:
        raise VagusError(f"{node} serves another roster than the one that {hub} names")
    try:
        members = {each.address: each for each in read_roster(document).members}
    except ValueError as error:
        raise VagusError(f"{hub} names a roster that can't be read: {error}") from None
    keys = []
    for signer in state.current.signers:
        member = members.get(signer)
        if member is None or member.x25519 is None:
            fault = f"the roster of {hub} has no x25519 key of 0x{signer.hex()}"
            raise VagusError(f"{fault}: its operator adds what `vagus committee member` prints")
        keys.append(bytes.fromhex(member.x25519[2:]))
    return keys


def sealed_to(readers: list[bytes], plaintext: bytes, context: bytes) -> bytes:
    """Seal to a hub's signers; VagusError where a key in the roster is none, or they are too many."""
    try:
        return seal(plaintext, readers, context)
    except ValueError as error:
        raise VagusError(f"it can't be sealed to these members: {error}") from None


def seal_payload(payload: bytes, readers: list[bytes], context: bytes) -> bytes:
    """Return a payload sealed to its readers; VagusError where it does not fit a request then."""
    sealed = sealed_to(readers, payload, context)
    if len(sealed) > MAX_PAYLOAD:
        over = f"sealed to {len(readers)} members the payload has {len(sealed)} bytes"
        raise VagusError(f"{over}, of {MAX_PAYLOAD} at most")
    return sealed
