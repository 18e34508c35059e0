"""Who may ask, and how: names of the host, tokens for what writes, bodies, headers, errors."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import web

from vagus.daemon.api.answers import error_answer
from vagus.daemon.tokens import TokenError, find_token, read_tokens
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from vagus.daemon.config import HttpConfig

    _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["MAX_BODY", "Guard", "add_headers", "empty_body", "json_body", "own_machine"]

log = structlog.get_logger("vagus.http")

MAX_BODY = 1024
# Seconds that a request's body may take.
BODY_SECONDS = 5.0
# The page's files come from the node alone, and nothing is written into the document as HTML.
_PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Server": "vagus",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def add_headers(response: web.StreamResponse) -> None:
    """Add what a browser is told with every answer: it shows this as what it is, and to nobody else."""
    response.headers.update(_HEADERS)
    page = response.content_type in {"text/html", "text/css", "text/javascript", "image/svg+xml"}
    response.headers["Content-Security-Policy"] = _PAGE_POLICY if page else _DATA_POLICY
    response.headers.setdefault("Cache-Control", "no-cache" if page else "no-store")


@dataclass(frozen=True)
class Guard:
    """The middlewares of one node; `scopes` names the scope of every route that writes."""

    config: HttpConfig
    scopes: dict[str, str]

    def middlewares(self) -> list[Any]:
        """Return them in the order in which a request passes them."""
        return [self._errors, self._host, self._token]

    @web.middleware
    async def _errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer every error as JSON, with the status that it has."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            words = {404: "there is nothing here: docs/http.md has the paths"}
            answer = error_answer(error.status, words.get(error.status, error.reason))
            for name in ("Allow", "WWW-Authenticate", "Retry-After"):
                if name in error.headers:
                    answer.headers[name] = error.headers[name]
            return answer
        except Retry as error:
            return error_answer(503, error.reason)
        except Exception:
            log.exception("a request was not answered: a defect of this node", path=request.path)
            return error_answer(500, "a defect of this node: its log has it")

    @web.middleware
    async def _host(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse names that are not the node's own.

        A page elsewhere whose name is made to resolve to this address would otherwise read it in
        its visitor's browser. An address needs no such check: nobody can make one resolve.
        """
        host = request.headers.get("Host", "")
        name = _name_of(host).lower()
        known = {"", "localhost", self.config.host.lower(), *map(str.lower, self.config.hosts)}
        if name not in known and not _is_address(name):
            raise web.HTTPMisdirectedRequest(
                reason="this name is not the node's: list it under hosts in [http] if it should be"
            )
        return await handler(request)

    @web.middleware
    async def _token(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let nothing but reads pass without a token of the route's scope."""
        if request.method in {"GET", "HEAD"}:
            return await handler(request)
        resource = request.match_info.route.resource
        scope = None if resource is None else self.scopes.get(resource.canonical)
        if scope is not None:
            await self._allow(request, scope)
        return await handler(request)  # without a scope: 404 or 405

    async def _allow(self, request: web.Request, scope: str) -> None:
        """Raise 401 without a token, 403 without its scope. The file is read each time."""
        path = self.config.tokens_file
        if path is None:
            raise _unauthorized("nothing can be written here: the node has no http.tokens_file")
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text:
            raise _unauthorized("send Authorization: Bearer and a token of `vagus tokens new`")
        token = find_token(await _tokens(path), text.strip())
        if token is None:
            raise _unauthorized("the node knows no such token")
        if scope not in token.scopes:
            raise web.HTTPForbidden(reason=f"the token {token.name} has no scope {scope}")
        log.info("write", token=token.name, method=request.method, path=request.path)


async def json_body(request: web.Request, most: int = MAX_BODY) -> bytes:
    """Read a body of JSON of at most so many bytes, or none. 400, 408, 413, 415."""
    data = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(data))
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body took too long") from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest(reason="the body broke off") from None
    if data and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="a body is application/json")
    return data


async def empty_body(request: web.Request) -> None:
    """Read a body that has nothing to say: none, or an empty JSON object. 400, 408, 413, 415."""
    data = await json_body(request)
    if not data:
        return
    try:
        msgspec.json.decode(data, type=_Empty)
    except (msgspec.MsgspecError, RecursionError):
        raise web.HTTPBadRequest(
            reason="this call takes an empty JSON object, or no body"
        ) from None


def own_machine(request: web.Request) -> None:
    """Raise 403 for who asks from another machine: prices and health of backends are the operator's."""
    try:
        own = ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        own = False
    if not own:
        raise web.HTTPForbidden(reason="this is told on the node's own machine alone")


class _Empty(msgspec.Struct, forbid_unknown_fields=True):
    pass


async def _tokens(path: Path) -> Any:
    try:
        return await asyncio.to_thread(read_tokens, path)
    except TokenError as error:
        log.error("tokens file cannot be used", reason=str(error))  # noqa: TRY400 - no defect of ours
        raise web.HTTPServiceUnavailable(
            reason="the node's tokens file cannot be used: its log says why"
        ) from None


def _unauthorized(reason: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(reason=reason, headers={"WWW-Authenticate": "Bearer"})


def _name_of(host: str) -> str:
    """Return a Host header without its port: `[::1]:80` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
