"""Akash's Console API on this machine: deployments, bids, leases, escrows that pay per block.

Source: the API's OpenAPI document and its source (akash-network/console, 2026-08). Time passes by the clock, and by `ahead`.
"""

import secrets
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from vagus.compute.sandbox.akash_chain import (
    BLOCK,
    BLOCKS_PER_HOUR,
    LEAST,
    LOOK_AHEAD,
    OWNER,
    TARGET,
    Deployment,
    Provider,
    bid,
    full,
    market,
    parse_sdl,
    setting,
    shown,
    status,
)
from vagus.compute.sandbox.base import ApiError, json_response, read_json
from vagus.compute.sandbox.machine import served_name
from vagus.compute.sandbox.rental import RentalSandbox

__all__ = ["AkashSandbox", "Deployment", "Provider"]

_CLASSES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    402: "PaymentRequiredError",
    403: "ForbiddenError",
    404: "NotFoundError",
    429: "TooManyRequestsError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    429: "rate_limited",
    502: "service_unavailable",
    503: "service_unavailable",
}


class _NewData(msgspec.Struct):
    sdl: str
    deposit: Decimal | None = None


class _New(msgspec.Struct):
    data: _NewData


class _Taken(msgspec.Struct):
    dseq: str
    gseq: int
    oseq: int
    provider: str


class _Take(msgspec.Struct):
    leases: list[_Taken]
    manifest: str | None = None


class _Top(msgspec.Struct):
    autoTopUpEnabled: bool  # noqa: N815 - the API's own name


class _Setting(msgspec.Struct):
    data: _Top


class _Deposited(msgspec.Struct):
    dseq: str
    deposit: Decimal


class _Deposit(msgspec.Struct):
    data: _Deposited


class AkashSandbox(RentalSandbox):
    """`deployments` are what was made, by number.

    bids_after, starts_after: looks until a further provider has bid, until a server has an address.
    indexed_after: looks until the API's database knows a deployment. managed: whether Console decides
    the first deposit; deposits: whether the call that fills an escrow is still there. wants_manifest:
    whether a lease must be handed it.
    """

    def __init__(self, *, port: int = 0, upstream: str | None = None) -> None:
        super().__init__(port=port, upstream=upstream)
        self.providers = [
            Provider("akash1" + letter * 38, Decimal(hourly), gpus)
            for letter, hourly, gpus in (
                ("p", "1.10", {"h100/80Gi": 8, "a100/80Gi": 4}),
                ("q", "0.42", {"rtx4090/24Gi": 4}),
                ("r", "0.39", {"rtx4090/24Gi": 2}),
            )
        ]
        self.deployments: dict[str, Deployment] = {}
        self.bids_after = 1
        self.starts_after = 1
        self.indexed_after = 0
        self.managed = True
        self.deposits = True
        self.wants_manifest = False
        self._last = 0
        self._ended: list[str] = []

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the API's calls."""
        return [
            web.get("/v1/gpu-prices", self._market),
            web.get("/v1/balances", self._balances),
            web.post("/v1/deployments", self._create),
            web.get("/v1/deployments", self._list),
            web.get("/v1/deployments/{dseq}", self._show),
            web.delete("/v1/deployments/{dseq}", self._close),
            web.get("/v1/deployment/{owner}/{dseq}", self._full),
            web.get("/v1/bids", self._bids),
            web.post("/v1/leases", self._lease),
            web.post("/v1/deposit-deployment", self._deposit),
            web.get("/v2/deployment-settings/{dseq}", self._get_setting),
            web.patch("/v2/deployment-settings/{dseq}", self._set),
        ]

    def error(self, status: int, message: str, code: str) -> object:
        """Return the API's form of an error."""
        kind = "server_error" if status >= 500 else "client_error"
        return {
            "error": _CLASSES.get(status, "InternalServerError"),
            "message": message,
            "code": code or _CODES.get(status, "unknown_error"),
            "type": kind,
        }

    async def authenticate(self, request: web.Request) -> None:
        """Know a caller by `x-api-key`; the market and the chain's own data are for anyone."""
        if request.path.startswith(("/v1/gpu-prices", "/v1/deployment/")):
            return
        self.check_key(request, "Unauthorized")

    @property
    def alive(self) -> list[Deployment]:
        """What is open and may cost money."""
        self._settle()
        return [each for each in self.deployments.values() if each.state == "active"]

    def rented(self) -> dict[str, str]:
        """Return the open deployments' placements by their numbers."""
        return {each.dseq: each.label for each in self.alive}

    async def charged(self) -> Decimal:
        """Return what escrows have paid out."""
        await self._pass_time()
        return sum((each.paid for each in self.deployments.values()), Decimal(0))

    async def lose(self, ident: str) -> None:
        """Let a deployment's provider disappear with its machine."""
        found = self.deployments[ident]
        if found.provider is not None:
            found.provider.online = False
        await self.machines.stop(ident)

    def _settle(self) -> None:
        """Let escrows pay for the blocks that have passed, refill those that may be, close the empty."""
        for each in self.deployments.values():
            if not each.leased:
                each.settled = self.now
                continue
            blocks = int((self.now - each.settled) // BLOCK)
            each.settled += blocks * BLOCK
            due = each.hourly * blocks / BLOCKS_PER_HOUR
            if each.top_up is not False:
                # Hour by hour in truth; what comes of it is the same.
                self._refill(each, due)
            pays = min(due, each.funds)
            each.funds -= pays
            each.paid += pays
            if pays < due:
                self._end(each, "lease_closed_reason_insufficient_funds")

    def _refill(self, each: Deployment, due: Decimal) -> None:
        if each.funds - due < each.hourly * LOOK_AHEAD:
            more = min(self.credit, max(Decimal(0), each.hourly * TARGET + due - each.funds))
            self.credit -= more
            each.funds += more
            each.refilled += more

    def _end(self, each: Deployment, reason: str) -> None:
        each.state, each.reason = "closed", reason
        self.credit += each.funds
        each.funds = Decimal(0)
        self._ended.append(each.dseq)

    async def _pass_time(self) -> None:
        self._settle()
        while self._ended:
            await self.machines.stop(self._ended.pop())

    async def _market(self, request: web.Request) -> web.StreamResponse:
        return json_response(market(self.providers))

    async def _balances(self, request: web.Request) -> web.StreamResponse:
        await self._pass_time()
        held = sum((each.funds for each in self.deployments.values()), Decimal(0))
        units = [int(amount * 1_000_000) for amount in (self.credit, held, self.credit + held)]
        data = dict(zip(("balance", "deployments", "total"), units, strict=True))
        return json_response({"data": data})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        await self._pass_time()
        asked = (await read_json(request, _New)).data
        if not self.managed and asked.deposit is None:
            raise ApiError(400, "deposit is required")
        deposit = LEAST if self.managed or asked.deposit is None else asked.deposit
        if deposit < LEAST:
            raise ApiError(400, "Failed to create deployment: Deposit too low")
        made = parse_sdl(asked.sdl, self.now)
        self._spend(deposit)
        self._last = max(self._last + 1, int(self.now * 1000))
        made.dseq, made.funds = str(self._last), deposit
        self.deployments[made.dseq] = made
        tx = {"code": 0, "transactionHash": secrets.token_hex(32).upper(), "rawLog": ""}
        data = {"dseq": made.dseq, "manifest": made.manifest, "signTx": tx}
        return json_response({"data": data}, status=201)

    def _spend(self, amount: Decimal) -> None:
        if amount > self.credit:
            raise ApiError(
                402,
                "Not enough balance to cover the deployment deposit. Add credits or turn on auto "
                "recharge to continue.",
                code="insufficient_balance",
            )
        self.credit -= amount

    async def _list(self, request: web.Request) -> web.StreamResponse:
        alive = self.alive
        skip, limit = _number(request, "skip", 0), _number(request, "limit", 1000)
        if limit < 1:
            raise ApiError(400, "Validation error", code="validation_error")
        page = alive[skip : skip + limit]
        pages = {"total": len(alive), "skip": skip, "limit": limit}
        pages["hasMore"] = "skip" in request.query and len(alive) > skip + limit
        listed = [shown(each, listed=True) for each in page]
        return json_response({"data": {"deployments": listed, "pagination": pages}})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request.match_info["dseq"])
        found.looks += 1
        return json_response({"data": shown(found, self._status(found))})

    async def _close(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request.match_info["dseq"])
        if found.state == "active":
            self._end(found, "lease_closed_reason_owner")
            await self._pass_time()
        return json_response({"data": {"success": True}})

    async def _full(self, request: web.Request) -> web.StreamResponse:
        """Answer with the chain's own data, once the database knows the deployment."""
        if request.match_info["owner"] != OWNER:
            raise ApiError(404, "Deployment Not Found")
        found = await self._found(request.match_info["dseq"])
        found.indexed += 1
        if found.indexed <= self.indexed_after:
            raise ApiError(404, "Deployment Not Found")
        return json_response(full(found))

    async def _bids(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request.query.get("dseq", ""))
        found.bid_looks += 1
        having = [each for each in self.providers if self._bids_for(each, found)]
        if found.leased:
            state = "closed"
        else:
            state = "open" if found.state == "active" else "closed"
            having = having[: found.bid_looks // self.bids_after if self.bids_after else None]
        return json_response({"data": [bid(found, each, state) for each in having]})

    def _bids_for(self, provider: Provider, found: Deployment) -> bool:
        return (
            provider.online
            and provider.gpus.get(found.gpu, 0) >= found.count
            and (not found.auditors or bool(set(found.auditors) & set(provider.auditors)))
            and provider.hourly * found.count <= found.most
        )

    async def _lease(self, request: web.Request) -> web.StreamResponse:
        """Make a lease where none is, and hand its provider the manifest."""
        asked = await read_json(request, _Take)
        if len(asked.leases) != 1 or (self.wants_manifest and not asked.manifest):
            raise ApiError(400, "Validation error", code="validation_error")
        taken = asked.leases[0]
        found = await self._found(taken.dseq)
        if found.state != "active":
            raise ApiError(400, "Failed to create lease: Deployment closed")
        if found.provider is None:
            bidder = next((p for p in self.providers if p.address == taken.provider), None)
            if bidder is None or not self._bids_for(bidder, found):
                raise ApiError(
                    400,
                    "Failed to create lease: Cannot create lease: The selected bid is no longer open. "
                    "Please refresh and select an available bid.",
                )
            found.provider, found.settled = bidder, self.now
            await self._pass_time()
        if not found.provider.online:
            raise ApiError(502, "The provider can't be reached", code="provider_unreachable")
        if not found.manifested:
            found.manifested, found.looks = True, 0
            env = dict(pair.split("=", 1) for pair in found.service.get("env", ()))
            key = next((env[name] for name in env if name.endswith("_API_KEY")), None)
            name = served_name(found.service.get("args", ()), env)
            await self.machines.start(found.dseq, name, key)
        return json_response({"data": shown(found, self._status(found))})

    async def _deposit(self, request: web.Request) -> web.StreamResponse:
        if not self.deposits:
            raise ApiError(404, "Not Found")
        asked = (await read_json(request, _Deposit)).data
        found = await self._found(asked.dseq)
        if found.state != "active":
            raise ApiError(400, "Deployment closed")
        if asked.deposit <= 0:
            raise ApiError(400, "Validation error", code="validation_error")
        self._spend(asked.deposit)
        found.funds += asked.deposit
        return json_response({"data": shown(found, self._status(found))})

    async def _get_setting(self, request: web.Request) -> web.StreamResponse:
        """Answer with a deployment's setting, which is made by asking: top-up is on."""
        found = await self._found(request.match_info["dseq"])
        found.top_up = True if found.top_up is None else found.top_up
        return json_response({"data": setting(found)})

    async def _set(self, request: web.Request) -> web.StreamResponse:
        found = await self._found(request.match_info["dseq"])
        found.top_up = (await read_json(request, _Setting)).data.autoTopUpEnabled
        return json_response({"data": setting(found)})

    async def _found(self, dseq: str) -> Deployment:
        await self._pass_time()
        if not dseq.isdigit():
            raise ApiError(400, "Validation error", code="validation_error")
        if dseq not in self.deployments:
            raise ApiError(404, "Deployment not found")
        return self.deployments[dseq]

    def _status(self, found: Deployment) -> dict[str, Any] | None:
        if found.provider is None or not found.provider.online or not found.manifested:
            return None
        up = found.looks > self.starts_after
        listens = up and found.dseq in self.machines
        uri = self.machines[found.dseq].url.partition("://")[2] if listens else None
        return status(found, up, uri)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdigit():
        raise ApiError(400, "Validation error", code="validation_error")
    return int(text)
