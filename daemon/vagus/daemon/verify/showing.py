"""An evidence document and the members' checks of it, from a node or from this one's own journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vagus.daemon.api.answers import check_view, evidence_intent
from vagus.daemon.config import load
from vagus.daemon.http_client import NodeError, UnknownError, node_url
from vagus.daemon.journal.database import read_only
from vagus.daemon.journal.said import CHECKS, SAID
from vagus.daemon.verify.collecting import fetch_checks, fetch_document
from vagus.protocol import SignatureError, VagusError, keccak256
from vagus.protocol.envelope import EnvelopeError, Kind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["document_of"]


async def document_of(
    digest: bytes, config: Path, url: str | None
) -> tuple[bytes, list[dict[str, Any]]]:
    """Return a document whose hash is `digest`, and the checks beside it as `check_view` shows them.

    Raises VagusError where nobody has it, or a node serves another one.
    """
    if url is None:
        settings = load(config)
        try:
            return await _from_node(digest, node_url(settings))
        except UnknownError:
            raise
        except NodeError:
            return _from_journal(digest, settings.data / "journal.sqlite")
    return await _from_node(digest, url)


async def _from_node(digest: bytes, node: str) -> tuple[bytes, list[dict[str, Any]]]:
    document = await fetch_document(node, digest)
    _require(digest, document, node)
    return document, _views(await fetch_checks(node, digest))


def _from_journal(digest: bytes, path: Path) -> tuple[bytes, list[dict[str, Any]]]:
    if not path.is_file():
        raise VagusError(f"no node answers, and {path} does not exist: give --url of one that runs")
    with read_only(path) as db:
        row = db.execute("SELECT document FROM evidence WHERE hash=?", (digest,)).fetchone()
        if row is None:
            raise VagusError(f"{path} has no evidence of that hash: give --url of a node that has")
        document = bytes(row[0])
        _require(digest, document, str(path))
        intent = evidence_intent(document)
        frames = [bytes(frame) for _, frame in db.execute(CHECKS, (intent,))]
        frames += [bytes(row[4]) for row in db.execute(SAID, (intent,)) if row[0] == Kind.CHECK]
    return document, _views(frames)


def _require(digest: bytes, document: bytes, source: str) -> None:
    if keccak256(document) != digest:
        raise VagusError(f"{source} has a document that hashes to 0x{keccak256(document).hex()}")


def _views(frames: list[bytes] | tuple[bytes, ...]) -> list[dict[str, Any]]:
    views = []
    for frame in frames:
        try:
            views.append(check_view(frame))
        except (EnvelopeError, SignatureError):
            continue
    return views
