"""HTTP: what a node shows of itself. All of it is public and only reads.

/healthz              200 while the process serves
/readyz               200 where every chain answers; else 503 and why
/metrics              Prometheus
/v1/intents           the newest intents: ?limit=1..500, ?stage=settled
/v1/intents/<id>      one intent with its history
/v1/evidence/<hash>   the evidence document, byte for byte as it was hashed
"""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from vagus.daemon.records import IntentRecord, Kind, Stage
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vagus.daemon.config import HttpConfig
    from vagus.daemon.journal import Journal
    from vagus.daemon.metrics import Metrics
    from vagus.daemon.network import Network

__all__ = ["Api", "serve", "show"]

_MAX_LIMIT = 500
_LIMIT = re.compile("[1-9][0-9]{0,2}")


class Api:
    """The handlers of one node."""

    def __init__(self, journal: Journal, network: Network, metrics: Metrics) -> None:
        self._journal = journal
        self._network = network
        self._metrics = metrics

    def app(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=1024)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_text)
        app.router.add_get("/v1/intents", self._intents)
        app.router.add_get("/v1/intents/{id}", self._intent)
        app.router.add_get("/v1/evidence/{hash}", self._evidence)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        faults = dict(self._network.faults)
        for adapter in self._network.adapters:
            if not adapter.healthy:
                faults.setdefault(adapter.hub, "its chain does not answer")
        if faults:
            lines = [f"{hub}: {reason}\n" for hub, reason in sorted(faults.items())]
            return web.Response(status=503, text="".join(lines))
        return web.Response(text="ready\n")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        body = await self._metrics.render(self._journal, self._network)
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

    async def _intents(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "50")
        stage = request.query.get("stage")
        if not _LIMIT.fullmatch(limit) or int(limit) > _MAX_LIMIT:
            return _error(400, f"limit is a number from 1 to {_MAX_LIMIT}")
        if stage is not None and stage.upper() not in Stage.__members__:
            return _error(400, f"stage is one of {', '.join(Stage.__members__).lower()}")
        wanted = Stage[stage.upper()] if stage else None
        records = await self._journal.intents(int(limit), wanted)
        return _json({"intents": [await show(self._journal, record) for record in records]})

    async def _intent(self, request: web.Request) -> web.Response:
        record = await self._journal.intent(_hash(request.match_info["id"]))
        if record is None:
            return _error(404, "this node has not seen that intent")
        history = [
            {"stage": each.stage.name.lower(), "at": each.at, "note": each.note}
            for each in await self._journal.history(record.id)
        ]
        return _json({**await show(self._journal, record), "history": history})

    async def _evidence(self, request: web.Request) -> web.Response:
        document = await self._journal.evidence(_hash(request.match_info["hash"]))
        if document is None:
            return _error(404, "this node has no evidence of that hash")
        return web.Response(body=document, content_type="application/json")


async def show(journal: Journal, record: IntentRecord) -> dict[str, Any]:
    """Return an intent as JSON shows it: hashes in hex, amounts as decimal strings."""
    delivery = await journal.newest_tx(record.id, Kind.DELIVER)
    settlement = await journal.newest_tx(record.id, Kind.SETTLE)
    intent, attestation = record.intent, record.attestation
    return {
        "id": _hex(record.id),
        "origin": record.origin,
        "seq": str(intent.seq),
        "dest_hub": _hex(intent.dest_hub),
        "agent_id": _hex(intent.agent_id),
        "requester": _hex(intent.requester),
        "max_fee": str(intent.max_fee),
        "deadline": intent.deadline,
        "stage": record.stage.name.lower(),
        "status": None if record.status is None else record.status.name.lower(),
        "reason": record.reason,
        "backend": record.backend,
        "output": None if not record.output else record.output.decode(errors="replace"),
        "output_hash": None if attestation is None else _hex(attestation.output_hash),
        "evidence_hash": None if attestation is None else _hex(attestation.evidence_hash),
        "callback_failed": record.callback_failed,
        "fee": None if record.receipt is None else str(record.receipt.fee),
        "request_tx": record.request_tx,
        "deliver_tx": None if delivery is None else delivery.tx_id,
        "settle_tx": None if settlement is None else settlement.tx_id,
        "seen_at": record.seen_at,
        "updated_at": record.updated_at,
    }


class _Malformed(logging.Filter):
    """Drops what aiohttp logs of requests that are no HTTP: the client was told, with a 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_MALFORMED = _Malformed()


@contextlib.asynccontextmanager
async def serve(api: Api, config: HttpConfig) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port, which the system picks where it is 0."""
    logging.getLogger("aiohttp.server").addFilter(_MALFORMED)
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except OSError as error:
            raise Retry(
                f"http.port {config.port} on {config.host} cannot be used ({error.strerror}): "
                "stop what has it, or set another port under [http]"
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _hash(text: str) -> bytes:
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        reason = msgspec.json.encode({"error": "an id or hash is 0x and 64 hex digits"}).decode()
        raise web.HTTPBadRequest(text=reason, content_type="application/json")
    return data


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


def _error(status: int, reason: str) -> web.Response:
    return _json({"error": reason}, status)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
