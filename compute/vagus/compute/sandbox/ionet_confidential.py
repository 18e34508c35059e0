"""io.net's confidential API on 127.0.0.1, in front of any backend: real signatures, no enclave.

`vagus.compute.backends.ionet_confidential` says what is documented of the API. The key is made for
each sandbox and held in this process's memory, so what it signs proves nothing to anyone.
"""

import hashlib
import secrets
from types import TracebackType
from typing import Annotated, Self, TypeVar

import msgspec
from aiohttp import web
from coincurve import PrivateKey

from vagus.compute.base import Backend, Completion, Message, Model
from vagus.protocol import Refuse, Retry, address_of, keccak256, sign

__all__ = ["ConfidentialSandbox"]

T = TypeVar("T")

IMAGE = "sha256:" + "5a" * 32
PATIENCE = 300.0
MAX_BODY = 1 << 20
Nonce = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,64}$")]


class _Asked(msgspec.Struct):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()


class _Attest(msgspec.Struct):
    model_id: str
    nonce: Nonce


class ConfidentialSandbox:
    """One server, used as `async with`; `base_url` and `api_key` are what a backend needs.

    backend: an entered one that answers; its models are served under their names.
    """

    def __init__(self, backend: Backend, image_digest: str = IMAGE) -> None:
        self._backend = backend
        self._image = image_digest
        self._key = PrivateKey()
        self._runner: web.AppRunner | None = None
        self.api_key = secrets.token_urlsafe(24)
        self.base_url = ""
        self.address = "0x" + address_of(self._key).hex()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/private/attestation", self._attest)
        app.router.add_post("/v1/private/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{port}/v1/private"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _attest(self, request: web.Request) -> web.Response:
        self._check_key(request)
        asked = await _read(request, _Attest)
        await self._model(asked.model_id)
        nonce = asked.nonce.ljust(64, "0")
        gpu = {"nonce": nonce, "arch": "SANDBOX", "evidence_list": [], "claims_version": "3.0"}
        found = {
            "nonce": nonce,
            "gpu": gpu,
            "cpu": None,
            "image_digest": self._image,
            "signing_address": self.address,
        }
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    async def _complete(self, request: web.Request) -> web.Response:
        self._check_key(request)
        sent = await request.read()
        asked = await _read(request, _Asked)
        found = await self._answer(asked)
        return web.Response(body=found, headers=self._signed(sent, found))

    async def _answer(self, asked: _Asked) -> bytes:
        """Return the body of a chat completion."""
        try:
            completion = Completion(
                model=await self._model(asked.model),
                messages=asked.messages,
                max_tokens=asked.max_tokens,
                temperature=asked.temperature,
                seed=asked.seed,
                stop=asked.stop,
            )
            answer = await self._backend.complete(completion, timeout=PATIENCE)
        except Refuse as error:
            raise web.HTTPBadRequest(text=error.reason) from None
        except Retry as error:
            raise web.HTTPServiceUnavailable(text=error.reason) from None
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": answer.finish_reason,
        }
        usage = {
            "prompt_tokens": answer.usage.prompt,
            "completion_tokens": answer.usage.completion,
            "total_tokens": answer.usage.prompt + answer.usage.completion,
        }
        body = {"object": "chat.completion", "model": asked.model, "choices": [choice]}
        return msgspec.json.encode({**body, "usage": usage})

    def _signed(self, sent: bytes, found: bytes) -> dict[str, str]:
        """Return the headers that bind a response to its request."""
        text = f"{hashlib.sha256(sent).hexdigest()}:{hashlib.sha256(found).hexdigest()}"
        data = text.encode()
        digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)
        return {
            "Content-Type": "application/json",
            "text": text,
            "signature": "0x" + sign(digest, self._key).hex(),
            "signing_address": self.address,
            "signing_algo": "ecdsa",
            "image_digest": self._image,
        }

    async def _model(self, name: str) -> Model:
        for model in await self._backend.models():
            if model.name == name:
                return model
        raise web.HTTPNotFound(text=f"no model {name[:100]!r} is served")

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.api_key}".encode()):
            raise web.HTTPUnauthorized(text="the API key is missing or another")


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise web.HTTPBadRequest(text="the request is not understood") from None
