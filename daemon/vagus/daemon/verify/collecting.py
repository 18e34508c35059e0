"""What a result is verified from, read: the delivery from its chain, the documents from any node.

Nothing that a node says is believed: what it serves is held against hashes and signatures, all of which
lead to the chain. So any node will do.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from vagus.daemon.client import first_heads
from vagus.daemon.http_client import NodeError, get, get_bytes
from vagus.daemon.roster import MAX_ROSTER
from vagus.daemon.verify.bundle import Bundle
from vagus.protocol import MAX_SIGNERS, Refuse, SignatureError, VagusError
from vagus.protocol.envelope import EnvelopeError, open_envelope
from vagus.protocol.limits import MAX_EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vagus.adapters.base import ChainAdapter, HubState
    from vagus.daemon.config import Settings
    from vagus.protocol import SignerSet

__all__ = ["collect", "fetch_checks", "fetch_document"]


async def collect(
    settings: Settings, node: str, intent_id: bytes, tx_id: str | None, say: Callable[[str], None]
) -> Bundle:
    """Read a delivery on whichever of the config's chains it is, and what a node has of it.

    `say` is told of what is missing. Raises Refuse where it is delivered on none of them, or its
    transaction does not show what was signed, and as adapters do.
    """
    faults = []
    for adapter in settings.reading().adapters():
        async with adapter:
            try:
                await first_heads(adapter)
                say(f"reading {adapter.hub}")
                found = await _delivery(adapter, intent_id, tx_id)
            except Refuse:
                raise
            except VagusError as error:
                faults.append(f"{adapter.chain} cannot be read: {error}")
                continue
        if found is not None:
            return await _documents(found, node, say)
    unread = f" ({'; '.join(faults)})" if faults else ""
    raise Refuse(
        f"0x{intent_id.hex()} is delivered on no chain of {settings.file} at finality{unread}"
    )


async def fetch_document(node: str, digest: bytes) -> bytes:
    """Return the document of a hash from a node. Raises NodeError; what it is, the caller checks."""
    return await get_bytes(node, f"/v1/evidence/0x{digest.hex()}", MAX_EVIDENCE)


async def fetch_checks(node: str, digest: bytes) -> tuple[bytes, ...]:
    """Return the members' checks that a node has beside an evidence document, as signed."""
    found = await get(node, f"/v1/evidence/0x{digest.hex()}/checks")
    return _frames(found)


async def _delivery(adapter: ChainAdapter, intent_id: bytes, tx_id: str | None) -> Bundle | None:
    record = await adapter.delivery(intent_id)
    if record is None:
        return None
    delivered = await adapter.delivered(intent_id, tx_id)
    if delivered is None:
        return None
    state = await adapter.hub_state()
    known = _set_of(state, delivered.attestation.epoch)
    return Bundle(adapter.hub, delivered, known, state.roster_hash, record)


def _set_of(state: HubState, epoch: int) -> SignerSet | None:
    """Return the set of an epoch, which a hub knows of its newest two alone."""
    sets = (state.current, state.previous)
    return next((each for each in sets if each is not None and each.epoch == epoch), None)


async def _documents(bundle: Bundle, node: str, say: Callable[[str], None]) -> Bundle:
    """Add what a node serves; what it does not have is left out."""
    told = bundle.delivered.attestation
    found: dict[str, Any] = {}
    say(f"asking {node}")
    with _without("the question", say):
        shown = await get(node, f"/v1/intents/0x{told.intent_id.hex()}")
        found |= {name: _data(shown.get(name)) for name in ("payload", "terms")}
    with _without("the evidence", say):
        found["evidence"] = await fetch_document(node, told.evidence_hash)
    with _without("the members' checks", say):
        found["checks"] = await fetch_checks(node, told.evidence_hash)
    with _without("the roster", say):
        named = (_roster_of(each) for each in found.get("checks", ()))
        digest = next((each for each in named if each), bundle.roster_hash or b"")
        found["roster"] = await get_bytes(node, f"/v1/roster/0x{digest.hex()}", MAX_ROSTER)
    return dataclasses.replace(bundle, **found)


@contextlib.contextmanager
def _without(what: str, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except NodeError as error:
        say(f"without {what}: {error}")


def _roster_of(frame: bytes) -> bytes | None:
    """Return the hash of the roster that a member spoke by."""
    try:
        return open_envelope(frame)[0].roster
    except (EnvelopeError, SignatureError):
        return None


def _frames(shown: dict[str, Any]) -> tuple[bytes, ...]:
    listed = shown.get("checks")
    if not isinstance(listed, list) or len(listed) > MAX_SIGNERS:
        raise NodeError("it has no list of checks")
    frames = [_data(each.get("envelope") if isinstance(each, dict) else None) for each in listed]
    return tuple(each for each in frames if each)


def _data(text: object) -> bytes | None:
    """Return what a node wrote in hex, None for anything else."""
    try:
        return bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else None
    except ValueError:
        return None
