"""What Dispersed is asked, and how it knows who asks. Source: its documentation, "Authenticate Requests"."""

import hashlib
import hmac
import json
import re
import secrets
import time
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote

import msgspec
from aiohttp import web

from vagus.compute.sandbox.base import ApiError

__all__ = ["Cancel", "Create", "check_signature"]

WINDOW = 300_000
HEADERS = ("X-API-Key", "X-Time", "X-Nonce", "X-Signature")

Count = Annotated[int, msgspec.Meta(ge=1, le=64)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Ports = Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=65535)]], msgspec.Meta(max_length=16)]


class Docker(msgspec.Struct, forbid_unknown_fields=True):
    """The container."""

    image: Annotated[str, msgspec.Meta(min_length=1)]
    tag: str = "latest"
    host: str = ""
    user: str = ""
    secret: str = ""
    sshkey: str = ""
    allowed_ips: list[str] = []
    ports: Ports = []
    env: dict[str, str] = {}
    volumes: list[Any] = []


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """What a job runs."""

    type: Literal["docker"]
    parameters: Docker


class Create(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/jobs`."""

    task: Literal["PERSISTENT", "BATCH"]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    parameters: Parameters
    description: str = ""
    gpu_name: str | None = None
    gpu_count: Count = 1
    cpu_count: Count = 1
    min_vram_gb: Size = 0
    min_ram_gb: Size = 0
    min_storage_gb: Size = 0
    max_timeout_run_ms: int | None = None
    max_timeout_assign_ms: int | None = None
    max_timeout_start_ms: int | None = None
    max_node_count: int = 1
    max_retry_count: int = 0


class Cancel(msgspec.Struct):
    """`PUT /v1/jobs/{uuid}/cancel`."""

    reason: str


async def check_signature(request: web.Request, public_key: str, secret_key: str) -> str:
    """Return the nonce of a request that is signed well. Raises ApiError, 401."""
    given = {name: request.headers.get(name, "") for name in HEADERS}
    moment, nonce = given["X-Time"], given["X-Nonce"]
    if not secrets.compare_digest(given["X-API-Key"].encode(), public_key.encode()):
        raise ApiError(401, "the API key is not known", code="INVALID_API_KEY")
    if (
        not re.fullmatch("[0-9]{1,16}", moment)
        or abs(int(moment) - time.time_ns() // 10**6) > WINDOW
    ):
        raise ApiError(401, "X-Time is over 5 minutes off", code="INVALID_TIMESTAMP")
    if len(nonce) != 32 or set(nonce) - set("0123456789abcdef"):
        raise ApiError(401, "X-Nonce is not 32 hex digits", code="INVALID_NONCE")
    parts = [public_key, moment, nonce, request.method, request.path]
    text = "|".join([*parts, _query(request.query_string), await _digest(request)])
    right = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not secrets.compare_digest(given["X-Signature"].encode(), right.encode()):
        raise ApiError(401, "X-Signature is another one", code="INVALID_SIGNATURE")
    return nonce


def _query(text: str) -> str:
    """Return a query with its keys and values sorted, encoded by RFC 3986."""
    pairs = sorted(parse_qsl(text, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


async def _digest(request: web.Request) -> str:
    """Return the SHA-256 of the body with all keys sorted and no blanks, as JavaScript writes it."""
    data = await request.read()
    if data:
        try:
            body = json.loads(data)
            text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            data = text.encode()
        except (ValueError, RecursionError):
            raise ApiError(400, "the body is no JSON", code="VALIDATION_ERROR") from None
    return hashlib.sha256(data).hexdigest()
