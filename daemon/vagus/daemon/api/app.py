"""The routes of a node, and what each answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from vagus.daemon.api.answers import (
    check_view,
    error_answer,
    evidence_intent,
    intent_view,
    json_answer,
    parse_hash,
    transaction_names,
    whole_intent,
)
from vagus.daemon.api.guard import (
    MAX_BODY,
    Guard,
    add_headers,
    empty_body,
    json_body,
    own_machine,
)
from vagus.daemon.api.live import Live
from vagus.daemon.api.page import Page
from vagus.daemon.explain import read_question
from vagus.daemon.journal.records import Stage
from vagus.daemon.printable import printable
from vagus.daemon.roster import is_roster
from vagus.protocol import Refuse
from vagus.protocol.envelope import Kind
from vagus.protocol.limits import MAX_ENVELOPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.daemon.config import HttpConfig
    from vagus.daemon.feed import Feed
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.metrics.registry import Metrics
    from vagus.daemon.pauses import Pauses
    from vagus.daemon.roster import Roster
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
        self,
        status: Status,
        metrics: Metrics,
        feed: Feed,
        pauses: Pauses,
        roster: Roster,
        config: HttpConfig,
    ) -> None:
        self._status = status
        self._journal = status.journal
        self._metrics = metrics
        self._pauses = pauses
        self._roster = roster.document()
        self._in_roster = status.committee.address in roster.signers
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
        app.router.add_routes(self._status.committee.routes())
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
            _Route("/v1/route", self._route),
            _Route("/v1/intents", self._intents),
            _Route("/v1/intents/{id}", self._intent),
            _Route("/v1/committee", self._committee),
            _Route("/v1/rotations/{hash}", self._rotation),
            _Route("/v1/roster", self._own_roster),
            _Route("/v1/roster/{hash}", self._any_roster),
            _Route("/v1/evidence/{hash}", self._evidence),
            _Route("/v1/evidence/{hash}/checks", self._checks),
            _Route("/v1/events", self._live.events),
            _Route("/v1/intents/{id}/poke", self._poke, scope="intents:write"),
            _Route("/v1/chains/{chain}/resume", self._resume, scope="chains:write"),
            _Route("/v1/backends/{name}/release", self._release, scope="backends:write"),
            _Route("/v1/rotations", self._approve, scope="committee:write"),
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

    async def _route(self, request: web.Request) -> web.Response:
        own_machine(request)
        if self._status.executor is None:
            return error_answer(503, "the node is starting")
        try:
            question = read_question(request.query)
        except Refuse as error:
            return error_answer(400, error.reason)
        try:
            return json_answer(await self._status.executor.explainer().explain(question))
        except Refuse as error:
            return error_answer(404, error.reason)

    async def _release(self, request: web.Request) -> web.Response:
        await empty_body(request)
        name, executor = request.match_info["name"], self._status.executor
        if executor is None or name not in {each.name for each in self._status.survey.backends}:
            return error_answer(404, "the node has no backend of that name")
        released = executor.router.release_all(name)
        if not released:
            return error_answer(409, f"{name} is not quarantined")
        return json_answer({"backend": name, "released": [f"0x{each.hex()}" for each in released]})

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
        record = await self._find(request.match_info["id"])
        if record is None:
            return error_answer(404, "this node has not seen that intent")
        history = await self._journal.history(record.id)
        whole = await whole_intent(self._status, record, history)
        whole["waiting"] = printable(self._pauses.reasons.get(record.id, "")) or None
        whole["committee"] = self._status.committee.standing(record)
        return json_answer(whole)

    async def _find(self, text: str) -> IntentRecord | None:
        """Find an intent by its id or by a transaction that asked, delivers or settles it."""
        names = transaction_names(text)
        if not names:
            raise web.HTTPBadRequest(
                reason="an id is 0x and 64 hex digits; a transaction is named as on its chain"
            )
        if len(names) > 1 and (record := await self._journal.intent(parse_hash(text))):
            return record
        for name in names:
            if record := await self._journal.intent_of(name):
                return record
        return None

    async def _committee(self, _: web.Request) -> web.Response:
        return json_answer(self._status.committee.view() | {"in_roster": self._in_roster})

    async def _rotation(self, request: web.Request) -> web.Response:
        found = self._status.committee.rotations.of(parse_hash(request.match_info["hash"]))
        if found is None:
            return error_answer(404, "this node has heard of no approval of that proposal")
        proposal, approvals = found
        return json_answer(
            {
                "proposal": proposal.model_dump(mode="json"),
                "approvals": [each.model_dump(mode="json") for each in approvals],
            }
        )

    async def _approve(self, request: web.Request) -> web.Response:
        rotations = self._status.committee.rotations
        try:
            proposal_id = rotations.take(await json_body(request, MAX_ENVELOPE))
        except ValueError:
            return error_answer(400, "the body is no approval with its proposal")
        except Refuse as error:
            return error_answer(409, error.reason)
        found = rotations.of(proposal_id)
        signers = [] if found is None else [each.signer for each in found[1]]
        return json_answer({"proposal": f"0x{proposal_id.hex()}", "approved": signers})

    async def _own_roster(self, _: web.Request) -> web.Response:
        return web.Response(body=self._roster, content_type="application/json")

    async def _any_roster(self, request: web.Request) -> web.Response:
        document = await self._journal.evidence(parse_hash(request.match_info["hash"]))
        # The rosters that a node had are kept where evidence is, by their hashes too.
        if document is None or not is_roster(document):
            return error_answer(404, "this node has had no roster of that hash")
        return web.Response(body=document, content_type="application/json")

    async def _evidence(self, request: web.Request) -> web.Response:
        document = await self._journal.evidence(parse_hash(request.match_info["hash"]))
        if document is None:
            return error_answer(404, "this node has no evidence of that hash")
        return web.Response(body=document, content_type="application/json")

    async def _checks(self, request: web.Request) -> web.Response:
        document = await self._journal.evidence(parse_hash(request.match_info["hash"]))
        intent_id = None if document is None else evidence_intent(document)
        if intent_id is None:
            return error_answer(404, "this node has no evidence of that hash")
        own = [each for each in await self._journal.said(intent_id) if each.kind == Kind.CHECK]
        frames = [frame for _, frame in await self._journal.checks(intent_id)]
        frames += [each.envelope for each in own]
        return json_answer({"checks": [check_view(each) for each in frames]})

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
