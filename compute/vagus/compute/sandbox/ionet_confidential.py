"""io.net's confidential API on 127.0.0.1: real signatures, no enclave.

`vagus.compute.backends.ionet_confidential` says what is documented of the API. The key is made for
each sandbox and held in this process's memory, so what it signs proves nothing to anyone.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from types import TracebackType
from typing import Annotated, Self

import msgspec
from aiohttp import web
from coincurve import PrivateKey
from pydantic import ValidationError
from typing_extensions import override

from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.compute.base import Backend, Completion, Message, Model
from vagus.compute.price import Usage
from vagus.compute.sandbox.base import ApiError, Sandbox, json_response, read_json
from vagus.compute.sandbox.chat import ScriptedModel
from vagus.protocol import Refuse, Retry, address_of, keccak256, sign

__all__ = ["ConfidentialSandbox"]

IMAGE = "sha256:" + "5a" * 32
PATIENCE = 300.0
# Under the name of a real one, where neither a backend nor an upstream says what is served.
SCRIPTED = ScriptedModel("meta-llama/Llama-3.3-70B-Instruct", 128_000)
SCRIPTED_MODEL = Model(SCRIPTED.name)
Nonce = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,64}$")]


class _Asked(msgspec.Struct):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stream: bool = False


class _Attest(msgspec.Struct):
    model_id: str
    nonce: Nonce


class ConfidentialSandbox(Sandbox):
    """An enclave's API without the enclave. address: the one that signs.

    backend: an entered one that answers under the names of its models; without it the upstream does,
    and without that a script. Entering raises Refuse for an upstream that can be none.
    """

    root = "/v1/private"

    def __init__(
        self,
        backend: Backend | None = None,
        *,
        port: int = 0,
        upstream: str | None = None,
        image_digest: str = IMAGE,
    ) -> None:
        super().__init__(port=port, upstream=upstream)
        self._backend = backend
        self._image = image_digest
        self._key = PrivateKey()
        self._life = contextlib.AsyncExitStack()
        self.address = "0x" + address_of(self._key).hex()

    @override
    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as life:
            if self._backend is None and self.upstream is not None:
                self._backend = await life.enter_async_context(_upstream(self.upstream))
            await super().__aenter__()
            self._life = life.pop_all()
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with self._life:
            await super().__aexit__(kind, error, trace)

    @override
    def show(self) -> dict[str, str]:
        """Return what a client needs, and what an agent is to trust."""
        more = {"signer": self.address, "image": self._image}
        return super().show() | more | ({} if self._backend else {"model": SCRIPTED.name})

    @override
    def routes(self) -> Iterable[web.RouteDef]:
        """Return the two calls of the API."""
        return [
            web.post(f"{self.root}/attestation", self._attest),
            web.post(f"{self.root}/completions", self._complete),
        ]

    @override
    def error(self, status: int, message: str, code: str) -> object:
        """Return an error as io.net's documentation has it: one text."""
        return {"detail": message}

    async def _attest(self, request: web.Request) -> web.StreamResponse:
        asked = await read_json(request, _Attest)
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
        return json_response(found)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        sent = await request.read()
        asked = await read_json(request, _Asked)
        if asked.stream:
            raise ApiError(400, "a stream is not signed")
        found = await self._written(asked)
        return web.Response(body=found, headers=self._signed(sent, found))

    async def _written(self, asked: _Asked) -> bytes:
        """Return the body of a chat completion. Raises ApiError."""
        model = await self._model(asked.model)
        try:
            completion = Completion(
                model=model,
                messages=asked.messages,
                max_tokens=asked.max_tokens,
                temperature=asked.temperature,
                seed=asked.seed,
                stop=asked.stop,
            )
            if self._backend is None:
                text, finish, usage = _scripted(completion)
            else:
                answer = await self._backend.complete(completion, timeout=PATIENCE)
                text, finish, usage = answer.text, answer.finish_reason, answer.usage
        except Refuse as error:
            raise ApiError(400, error.reason) from None
        except Retry as error:
            raise ApiError(503, error.reason) from None
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
        }
        counted = {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
        }
        body = {"object": "chat.completion", "model": model.name, "choices": [choice]}
        return msgspec.json.encode({**body, "usage": counted})

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
        """Return the model of a name. Raises ApiError."""
        try:
            served = [SCRIPTED_MODEL] if self._backend is None else await self._backend.models()
        except (Retry, Refuse) as error:
            raise ApiError(503, error.reason) from None
        for model in served:
            if model.name == name:
                return model
        raise ApiError(404, f"no model {name[:100]!r} is served")


def _upstream(base_url: str) -> OpenAIBackend:
    """Return the server that answers. Raises Refuse."""
    try:
        # Whoever starts the sandbox has named it.
        config = OpenAIConfig(name="upstream", base_url=base_url, allow_private=True)
    except ValidationError:
        raise Refuse(f"{base_url} is no server's URL, as http://127.0.0.1:11434/v1") from None
    return OpenAIBackend(config)


def _scripted(asked: Completion) -> tuple[str, str, Usage]:
    """Return what a script writes, why it ends there, and its tokens."""
    body = {
        "messages": [{"content": each.content} for each in asked.messages],
        "max_tokens": asked.max_tokens,
        "stop": asked.stop,
        "schema": None,
    }
    tokens, finish, read = SCRIPTED.write(body)
    return "".join(tokens), finish, Usage(read, max(1, len(tokens)))
