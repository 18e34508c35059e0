"""How requests to Dispersed, Render's compute network, are signed: HMAC-SHA256 over their parts.

Source: Dispersed's documentation, "Authenticate Requests", and its own example client. The secret key is
never sent. What both leave open is avoided: they write characters beyond ASCII differently, so a body
of ours has none, and they encode a space in a query differently, so a query of ours has none.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

import msgspec

from vagus.compute.leases.api import encode_query
from vagus.protocol import Refuse

__all__ = ["canonical_json", "signature", "signed_headers"]


def canonical_json(body: object) -> bytes:
    """Return JSON with all keys sorted and no blanks. Raises Refuse for what is not ASCII."""
    data = msgspec.json.encode(body, order="sorted")
    if not data.isascii():
        raise Refuse("a request to Dispersed must be ASCII: the job has other characters")
    return data


def signature(
    public_key: str,
    secret_key: str,
    moment: str,
    nonce: str,
    method: str,
    path: str,
    query: str,
    body: bytes,
) -> str:
    """Return a request's signature: 64 hex digits.

    moment: Unix milliseconds, as X-Time has them. nonce: 32 hex digits, used once. path: from the
    server's root on. query: sorted, without its question mark. body: canonical, empty for none.
    """
    digest = hashlib.sha256(body).hexdigest()
    text = "|".join((public_key, moment, nonce, method, path, query, digest))
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def signed_headers(
    public_key: str,
    secret_key: str,
    method: str,
    path: str,
    query: Mapping[str, str] | None,
    body: bytes,
) -> dict[str, str]:
    """Return the four headers of a request that is sent now."""
    moment, nonce = str(time.time_ns() // 1_000_000), secrets.token_hex(16)
    asked = encode_query(query or {})
    signed = signature(public_key, secret_key, moment, nonce, method, path, asked, body)
    return {
        "X-API-Key": public_key,
        "X-Time": moment,
        "X-Nonce": nonce,
        "X-Signature": signed,
    }
