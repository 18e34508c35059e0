"""The journals that are tested alike, and what the tests write into them, of any content."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from vagus.adapters.base import Built, Requested
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import ZERO32, Attestation, Intent, hub_id, keccak256

HUB = "eip155:31337:0x" + "11" * 20
DEST = "eip155:31338:0x" + "22" * 20
LANE = "eip155:31338:0x" + "33" * 20

Open = Callable[[], AbstractAsyncContextManager[Journal]]

JOURNALS: dict[str, Callable[[Path], Open]] = {
    "sqlite": lambda folder: lambda: SqliteJournal(folder / "journal.sqlite"),
}


def request(seq: int, height: int = 1, payload: bytes = b'{"prompt":"Hi"}') -> Requested:
    intent = Intent(
        origin_hub=hub_id(HUB),
        seq=seq,
        requester=keccak256(b"requester"),
        agent_id=keccak256(b"chat@1"),
        payload_hash=keccak256(payload),
        model_digest=ZERO32,
        terms_hash=ZERO32,
        min_signers=0,
        dest_hub=hub_id(DEST),
        callback=ZERO32,
        callback_gas=0,
        fee_asset=ZERO32,
        max_fee=10**18,
        deadline=2_000_000_000,
    )
    return Requested(intent, payload, b"", height, keccak256(b"%d" % height), f"0x{seq:064x}")


def attestation(intent_id: bytes, output: bytes = b"") -> Attestation:
    """The outcome FULFILLED with an output."""
    word = keccak256(b"word")
    own = (intent_id, hub_id(HUB), 0, keccak256(output))
    return Attestation(*own, word, word, word, 7, 2_000_000_000)


def lane(nonce: int) -> bytes:
    return nonce.to_bytes(8, "big")


def built(nonce: int) -> Built:
    """The transaction with this nonce, and the lane behind it."""
    return Built(lane(nonce + 1), b"signed %d" % nonce, f"0x{nonce:064x}")
