"""The routes of a node, and what each answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vagus.daemon.api.answers import (
    error_answer,
    intent_view,
    json_answer,
    parse_hash,
    whole_intent,
)
from vagus.daemon.api.guard import MAX_BODY, Guard, add_headers, empty_body
from vagus.daemon.api.live import Live
from vagus.daemon.api.page import Page
from vagus.daemon.journal.records import Stage
from vagus.protocol import Refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.daemon.config import HttpConfig
    from vagus.daemon.feed import Feed
    from vagus.daemon.metrics.registry import Metrics
    from vagus.daemon.pauses import Pauses
    from vagus.daemon.status import Status

    _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["Api"]

_MAX_LIMIT = 500
_LIMIT = re.compile("[1-9][0-9]{0,2}")


async def _prepare(_: web.Request, response: web.StreamResponse) -> None:
    add_headers(response)


@dataclass(frozen=True, slots=True)
class _Route:
    """One path; without a scope it only reads."""

    path: str
    handler: _Handler
    scope: str | None = None


class Api:
    """The handlers of one node. What they show is read from `status`, what waits is in `pauses`."""

    def __init__(
        self, status: Status, metrics: Metrics, feed: Feed, pauses: Pauses, config: HttpConfig
    ) -> None:
        self._status = status
        self._journal = status.journal
        self._metrics = metrics
        self._pauses = pauses
        self._config = config
        self._live = Live(feed, status)
        self._page = Page()

    def app(self) -> web.Application:
        """Return the aiohttp application."""
        routes = self._routes()
        scopes = {each.path: each.scope for each in routes if each.scope is not None}
        guard = Guard(self._config, scopes)
        app = web.Application(client_max_size=MAX_BODY, middlewares=guard.middlewares())
        app.on_response_prepare.append(_prepare)
        for each in routes:
            if each.scope is None:
                app.router.add_get(each.path, each.handler, allow_head=each.path != "/v1/events")
            else:
                app.router.add_post(each.path, each.handler)
        return app

    def close(self) -> None:
        """Hang up on all who listen to events."""
        self._live.close()

    def _routes(self) -> list[_Route]:
        return [
            _Route("/", self._page.index),
            _Route("/page/{name}", self._page.file),
            _Route("/healthz", self._healthz),
            _Route("/readyz", self._readyz),
            _Route("/metrics", self._metrics_text),
            _Route("/v1/status", self._whole),
            _Route("/v1/chains", self._chains),
            _Route("/v1/models", self._models),
            _Route("/v1/intents", self._intents),
            _Route("/v1/intents/{id}", self._intent),
            _Route("/v1/evidence/{hash}", self._evidence),
            _Route("/v1/events", self._live.events),
            _Route("/v1/intents/{id}/poke", self._poke, scope="intents:write"),
            _Route("/v1/chains/{chain}/resume", self._resume, scope="chains:write"),
        ]

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        faults = self._status.faults()
        code = 503 if faults else 200
        if "application/json" in request.headers.get("Accept", ""):
            return json_answer({"ready": not faults, "faults": faults}, code)
        lines = [f"{part}: {reason}\n" for part, reason in sorted(faults.items())]
        return web.Response(status=code, text="".join(lines) or "ready\n")

    async def _metrics_text(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        body, content_type = await self._metrics.render(self._status, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _whole(self, _: web.Request) -> web.Response:
        return json_answer(await self._status.whole())

    async def _chains(self, _: web.Request) -> web.Response:
        return json_answer({"chains": self._status.chains()})

    async def _models(self, _: web.Request) -> web.Response:
        return json_answer({"backends": self._status.backends()})

    async def _intents(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "50")
        stage = request.query.get("stage")
        if not _LIMIT.fullmatch(limit) or int(limit) > _MAX_LIMIT:
            return error_answer(400, f"limit is a number from 1 to {_MAX_LIMIT}")
        if stage is not None and stage.upper() not in Stage.__members__:
            return error_answer(400, f"stage is one of {', '.join(Stage.__members__).lower()}")
        wanted = Stage[stage.upper()] if stage else None
        records = await self._journal.intents(int(limit), wanted)
        shown = [await intent_view(self._status, record) for record in records]
        return json_answer({"intents": shown})

    async def _intent(self, request: web.Request) -> web.Response:
        record = await self._journal.intent(parse_hash(request.match_info["id"]))
        if record is None:
            return error_answer(404, "this node has not seen that intent")
        history = await self._journal.history(record.id)
        return json_answer(await whole_intent(self._status, record, history))

    async def _evidence(self, request: web.Request) -> web.Response:
        document = await self._journal.evidence(parse_hash(request.match_info["hash"]))
        if document is None:
            return error_answer(404, "this node has no evidence of that hash")
        return web.Response(body=document, content_type="application/json")

    async def _poke(self, request: web.Request) -> web.Response:
        await empty_body(request)
        record = await self._journal.intent(parse_hash(request.match_info["id"]))
        if record is None:
            return error_answer(404, "this node has not seen that intent")
        stage = record.stage.name.lower()
        if record.stage.ended:
            return error_answer(409, f"it has ended, as {stage}")
        shown: dict[str, Any] = {"stage": stage, "woken": self._pauses.wake(record.id)}
        return json_answer(shown)

    async def _resume(self, request: web.Request) -> web.Response:
        await empty_body(request)
        chain = request.match_info["chain"]
        try:
            halted = await self._status.network.resume(chain)
        except Refuse as error:
            return error_answer(404, error.reason)
        if halted is None:
            return error_answer(409, f"{chain} is not halted")
        return json_answer({"chain": chain, "reason": halted.reason, "halted_at": halted.at})
