"""A small AWS KMS that botocore itself speaks to: GetPublicKey and Sign of secp256k1 keys.

JSON 1.1 over HTTP, as of the KMS API's reference. It signs a digest as a digest (MessageType DIGEST), with
a random nonce, by another library than the node's, and every other signature has the high s, as a real one's may.
"""

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from coincurve import PrivateKey
from ecdsa import SECP256k1, SigningKey
from ecdsa.util import sigencode_der

from vagus.adapters.signers import KmsKey

__all__ = ["KmsServer"]

_SPKI = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")


class KmsServer:
    """Its keys by their ids; `fault` is what it answers instead while it is set."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}
        self.spec = "ECC_SECG_P256K1"
        self.fault: tuple[str, str] | None = None
        self.signature: bytes | None = None
        self.most_at_once = 0
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self._at_once = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["KmsServer"]:
        """Answer on a port of the system's choice."""
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    def key(self, name: str) -> KmsKey:
        """What a config has of a key."""
        return KmsKey(key=name, region="eu-central-1", endpoint=f"http://127.0.0.1:{self.port}")

    async def _answer(self, request: web.Request) -> web.Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            body = json.loads(await request.read())
            operation = request.headers["X-Amz-Target"].removeprefix("TrentService.")
            self.requests.append({"operation": operation, **body})
            self.headers.append(dict(request.headers))
            if self.fault is not None:
                return _fault(*self.fault)
            key = self.keys.get(body["KeyId"])
            if key is None:
                return _fault("NotFoundException", f"Key {body['KeyId']!r} does not exist")
            answer = self._public(key) if operation == "GetPublicKey" else self._sign(key, body)
            return _json({"KeyId": body["KeyId"], **answer})
        finally:
            self._at_once -= 1

    def _public(self, key: PrivateKey) -> dict[str, Any]:
        spki = _SPKI + key.public_key.format(compressed=False)
        return {
            "KeySpec": self.spec,
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": ["ECDSA_SHA_256"],
            "PublicKey": base64.b64encode(spki).decode(),
        }

    def _sign(self, key: PrivateKey, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["MessageType"], body["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
        digest = base64.b64decode(body["Message"])
        assert len(digest) == 32
        own = SigningKey.from_string(key.secret, SECP256k1)
        r, s, order = own.sign_digest(digest, sigencode=lambda *numbers: numbers)
        if (s > order // 2) != bool(len(self.requests) % 2):
            s = order - s
        der = self.signature or sigencode_der(r, s, order)
        return {
            "Signature": base64.b64encode(der).decode(),
            "SigningAlgorithm": "ECDSA_SHA_256",
        }


def _json(answer: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(answer), status=status, content_type="application/x-amz-json-1.1"
    )


def _fault(code: str, words: str) -> web.Response:
    return _json({"__type": code, "message": words}, 400)
