"""What commands ask of a running node, over its HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from vagus.daemon.config import ConfigError, Settings
from vagus.daemon.credentials import is_credential
from vagus.daemon.journal.records import Stage
from vagus.daemon.owner import require_node_user
from vagus.daemon.tokens import new_token, revoke_token
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NoNodeError",
    "NodeError",
    "UnknownError",
    "get",
    "get_bytes",
    "get_intent",
    "hand_over",
    "node_url",
    "poke",
    "release",
    "wait_for",
]

_POLL = 0.5
_MAX_ANSWER = 64 << 20
_ID = re.compile("(0x)?[0-9a-fA-F]{64}")
_NAME = re.compile("[a-z0-9][a-z0-9._-]{0,63}")
_TRANSACTION = re.compile("(0x)?[0-9a-fA-F]{64}|[1-9A-HJ-NP-Za-km-z]{64,88}")


class NodeError(VagusError):
    """The node does not answer, or says no."""


class RejectedError(NodeError):
    """The node does not take what was asked."""

    exit_code = 2


class NoNodeError(NodeError):
    """Nobody answers, or somebody who is no node."""


class UnknownError(NodeError):
    """The node has not seen what was asked for."""


def node_url(settings: Settings) -> str:
    """Return the root of the node that runs with a config."""
    host = settings.http.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}"


async def get(node: str, path: str) -> dict[str, Any]:
    """Return what a node answers to a GET. Raises NodeError in its words."""
    return await _call(node, "GET", path, {})


async def get_bytes(node: str, path: str, most: int) -> bytes:
    """Return a document of at most so many bytes that a node serves, as it is. Raises NodeError."""
    status, data = await _exchange(node, "GET", path, {}, most)
    if status != 200:
        raise _refused(status, _object(node, data))
    return data


async def get_intent(node: str, intent_id: str) -> dict[str, Any]:
    """Return an intent as a node shows it, by its id or a transaction of it.

    Raises NodeError, ConfigError for what is neither.
    """
    if not _TRANSACTION.fullmatch(intent_id):
        words = "is no intent's id, 0x and 64 hex digits, and no transaction of a chain"
        raise ConfigError([f"{intent_id!r} {words}"])
    return await get(node, f"/v1/intents/{intent_id}")


async def poke(settings: Settings, intent_id: str) -> dict[str, Any]:
    """Have a node try again now what an intent waits for; `{"stage", "woken"}`.

    The call needs a token: one is made for it in the config's tokens file, and revoked after it.
    Raises TokenError where that file is of no use, NodeError in the node's words, ConfigError,
    OwnerError.
    """
    return await _write(settings, f"{_path(intent_id)}/poke", "intents:write", b"")


async def release(settings: Settings, backend: str) -> dict[str, Any]:
    """Have a node end a backend's quarantine; `{"backend", "released"}`. Needs and raises as `poke`."""
    if not _NAME.fullmatch(backend):
        raise ConfigError([f"{backend!r} is no backend's name"])
    return await _write(settings, f"/v1/backends/{backend}/release", "backends:write", b"")


async def hand_over(settings: Settings, body: bytes) -> dict[str, Any]:
    """Give a node an approval with its proposal, for the others; `{"proposal", "approved"}`.

    Needs a token, and raises, as `poke`.
    """
    return await _write(settings, "/v1/rotations", "committee:write", body)


async def _write(settings: Settings, path: str, scope: str, body: bytes) -> dict[str, Any]:
    file = settings.http.tokens_file
    if file is None:
        where = 'tokens_file = "tokens.json"'
        raise ConfigError(
            [f"{settings.file}: write {where} under [http] and restart the node: it takes no calls"]
        )
    if is_credential(file):
        raise ConfigError(
            [
                f"{settings.file}: http.tokens_file is one of systemd's credentials, where none can "
                f"make a token: send POST {node_url(settings)}{path} with one of yours"
            ]
        )
    require_node_user(settings)
    name = f"{scope.partition(':')[0]}-{secrets.token_hex(4)}"
    token = await asyncio.to_thread(new_token, file, name, [scope])
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await _call(node_url(settings), "POST", path, headers, body)
    finally:
        await asyncio.to_thread(revoke_token, file, name)


async def wait_for(node: str, intent_id: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Follow an intent at a node until it ends, telling each new stage."""
    stage = ""
    while True:
        with contextlib.suppress(UnknownError):
            found = await get_intent(node, intent_id)
            if found["stage"] != stage:
                stage = found["stage"]
                say(stage)
            if Stage[stage.upper()].ended:
                return found
        await asyncio.sleep(_POLL)


def _path(intent_id: str) -> str:
    if not _ID.fullmatch(intent_id):
        raise ConfigError([f"{intent_id!r} is no intent's id: 0x and 64 hex digits"])
    return f"/v1/intents/{intent_id}"


async def _call(
    node: str, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> dict[str, Any]:
    status, data = await _exchange(node, method, path, headers, _MAX_ANSWER, body)
    answer: dict[str, Any] = _object(node, data)
    if status != 200:
        raise _refused(status, answer)
    return answer


async def _exchange(
    node: str, method: str, path: str, headers: dict[str, str], most: int, body: bytes = b""
) -> tuple[int, bytes]:
    """Return the status and the body, of which no more is read than may be long."""
    timeout = aiohttp.ClientTimeout(total=10)
    data = b""
    try:
        # No redirect is followed: a token is for the node alone.
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method, node + path, headers=headers, data=body or None, allow_redirects=False
            ) as response,
        ):
            async for chunk in response.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > most:
                    raise NodeError(f"{node} answers {path} with over {most} bytes")
    except (aiohttp.ClientError, ValueError, TimeoutError) as error:
        raise NoNodeError(f"no node answers at {node}: start it with `vagus run`") from error
    return response.status, data


def _object(node: str, data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoNodeError(f"no node answers at {node}: start it with `vagus run`") from error


def _refused(status: int, body: dict[str, Any]) -> NodeError:
    kind = {404: UnknownError, 400: RejectedError}.get(status, NodeError)
    return kind(str(body.get("error", status)))
