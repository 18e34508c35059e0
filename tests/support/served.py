"""A served API over a real journal: what it shows is written by the test, and no chain is there."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from coincurve import PrivateKey

from support.committees import roster
from support.signing import KeySigner
from vagus.adapters.base import ChainAdapter, Cursor, Requested
from vagus.daemon.api import Api, serve
from vagus.daemon.committee import SoleSigner
from vagus.daemon.config import HttpConfig
from vagus.daemon.feed import Feed
from vagus.daemon.journal.records import IntentRecord
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.daemon.pauses import Pauses
from vagus.daemon.status import Status
from vagus.daemon.survey import Survey
from vagus.protocol import ZERO32, Intent, agent_id, hub_id, keccak256

__all__ = ["HUB", "ROSTER", "Served", "requested", "serving"]

HUB = "eip155:1:0x1111111111111111111111111111111111111111"
ROSTER = roster(1, 2, 3)


class Served:
    """A served API, with the parts behind it at hand."""

    def __init__(self, api: Api, status: Status, metrics: Metrics, pauses: Pauses) -> None:
        self.api = api
        self.status = status
        self.journal = status.journal
        self.network = status.network
        self.metrics = metrics
        self.pauses = pauses
        self.root = ""
        self.session = aiohttp.ClientSession()

    @property
    def port(self) -> int:
        return int(self.root.rpartition(":")[2])

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.root + path, headers=headers) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> tuple[int, dict[str, Any]]:
        status, text = await self.get(path)
        return status, json.loads(text)

    async def observe(self, *seqs: int, **changes: Any) -> list[IntentRecord]:
        """Journal intents as a final reading of the hub finds them."""
        found = [requested(seq, **changes) for seq in seqs]
        return await self.journal.observe(HUB, found, Cursor(max(seqs) + 1, max(seqs)))


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    adapters: tuple[ChainAdapter, ...] = (),
    port: int = 0,
    costs: dict[str, int] | None = None,
    **http: Any,
) -> AsyncIterator[Served]:
    config = HttpConfig(port=port, **http)
    async with SqliteJournal(folder / "journal.sqlite") as journal, Feed(journal) as feed:
        network, metrics, pauses = Network(adapters, journal), Metrics(), Pauses()
        network.entered |= {adapter.chain for adapter in adapters}
        journal.on_commit(metrics.committed)
        names = {agent_id("chat@1"): "chat@1"}
        status = Status(
            journal,
            network,
            Survey(network),
            folder,
            costs=costs or {},
            agents=names,
            committee=SoleSigner(KeySigner(PrivateKey())),
        )
        api = Api(status, metrics, feed, pauses, ROSTER, config)
        served = Served(api, status, metrics, pauses)
        async with served.session, serve(served.api, config) as found:
            served.root = f"http://127.0.0.1:{found}"
            yield served


def requested(seq: int, payload: bytes = b'{"prompt":"x"}', **changes: Any) -> Requested:
    """An intent as its hub's event has it; `seq` makes it unique."""
    fields: dict[str, Any] = {
        "origin_hub": hub_id(HUB),
        "seq": seq,
        "requester": bytes(12) + b"\x44" * 20,
        "agent_id": agent_id("chat@1"),
        "payload_hash": keccak256(payload),
        "model_digest": ZERO32,
        "terms_hash": ZERO32,
        "min_signers": 0,
        "dest_hub": ZERO32,
        "callback": ZERO32,
        "callback_gas": 0,
        "fee_asset": ZERO32,
        "max_fee": 10**30,
        "deadline": 2_000_000_000,
    }
    return Requested(Intent(**fields | changes), payload, b"", seq, ZERO32, f"0x{seq:064x}")
