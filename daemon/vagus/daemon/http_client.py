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

__all__ = ["NodeError", "get", "get_intent", "node_url", "poke", "wait_for"]

_POLL = 0.5
_ID = re.compile("(0x)?[0-9a-fA-F]{64}")


class NodeError(VagusError):
    """The node does not answer, or says no."""


class RejectedError(NodeError):
    """The node does not take what was asked."""

    exit_code = 2


class UnknownError(NodeError):
    """The node has not seen what was asked for."""


def node_url(settings: Settings) -> str:
    """Return the root of the node that runs with a config."""
    host = settings.http.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}"


async def get(node: str, path: str) -> dict[str, Any]:
    """Return what a node answers to a GET. Raises NodeError in its words."""
    return await _call(node, "GET", path, {})


async def get_intent(node: str, intent_id: str) -> dict[str, Any]:
    """Return an intent as a node shows it. Raises NodeError, ConfigError for what is no id."""
    return await get(node, _path(intent_id))


async def poke(settings: Settings, intent_id: str) -> dict[str, Any]:
    """Have a node try again now what an intent waits for; `{"stage", "woken"}`.

    The call needs a token: one is made for it in the config's tokens file, and revoked after it.
    Raises TokenError where that file is of no use, NodeError in the node's words, ConfigError,
    OwnerError.
    """
    path, file = _path(intent_id), settings.http.tokens_file
    if file is None:
        where = 'tokens_file = "tokens.json"'
        raise ConfigError(
            [f"{settings.file}: write {where} under [http] and restart the node: it takes no calls"]
        )
    if is_credential(file):
        raise ConfigError(
            [
                f"{settings.file}: http.tokens_file is one of systemd's credentials, where none can "
                f"make a token: send POST {node_url(settings)}{path}/poke with one of yours"
            ]
        )
    require_node_user(settings)
    name = f"intent-poke-{secrets.token_hex(4)}"
    token = await asyncio.to_thread(new_token, file, name, ["intents:write"])
    try:
        headers = {"Authorization": f"Bearer {token}"}
        return await _call(node_url(settings), "POST", f"{path}/poke", headers)
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
        raise ConfigError([f"{intent_id} is no intent's id: 0x and 64 hex digits"])
    return f"/v1/intents/{intent_id}"


async def _call(node: str, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=10)
    body: dict[str, Any]
    try:
        # No redirect is followed: a token is for the node alone.
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method, node + path, headers=headers, allow_redirects=False
            ) as response,
        ):
            body = msgspec.json.decode(await response.read(), type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise NodeError(f"no node answers at {node}: start it with `vagus run`") from error
    if response.status != 200:
        kind = {404: UnknownError, 400: RejectedError}.get(response.status, NodeError)
        raise kind(str(body.get("error", response.status)))
    return body
