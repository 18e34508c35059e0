"""The machines that a sandbox rents out: each an OpenAI-compatible server with a port and a key of its own."""

import secrets
from collections.abc import Mapping, Sequence

from aiohttp import web

from vagus.compute.sandbox.base import GRACE, MAX_BODY, ApiError, json_response
from vagus.compute.sandbox.chat import LISTED, Chat, ScriptedModel

__all__ = ["Machine", "Machines", "served_name"]

# In the order in which vLLM and llama.cpp go by them.
_FLAGS = ("--served-model-name", "--alias", "-a", "--model", "-m", "-hf", "--hf-repo")
_VARIABLES = ("LLAMA_ARG_ALIAS", "LLAMA_ARG_HF_REPO", "LLAMA_ARG_MODEL", "MODEL")


class Machine:
    """One server: a scripted model under `/v1`, or what answers at `upstream` instead of it.

    key: what it asks for, None for nothing. port: where it listens on 127.0.0.1.
    """

    def __init__(self, model: str, key: str | None, upstream: str | None = None) -> None:
        self.chat = Chat(ScriptedModel(model), upstream=upstream)
        self.key = key
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is: the root, below which `/v1` begins."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on a port of the system's choice."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=GRACE
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be gone: whoever asks from now on finds nobody."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        listed = [{"id": name, "object": "model", "created": LISTED} for name in self.chat.models]
        return json_response({"object": "list", "data": listed})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            if self.key is not None:
                given = request.headers.get("Authorization", "").encode()
                if not secrets.compare_digest(given, f"Bearer {self.key}".encode()):
                    raise ApiError(401, "Unauthorized")
            return await self.chat.complete(request)
        except ApiError as error:
            return json_response({"error": {"message": error.message}}, status=error.status)


class Machines:
    """All that run, by an id of the sandbox's choice."""

    def __init__(self, upstream: str | None = None) -> None:
        self._upstream = upstream
        self._running: dict[str, Machine] = {}

    def __contains__(self, ident: str) -> bool:
        return ident in self._running

    def __getitem__(self, ident: str) -> Machine:
        return self._running[ident]

    async def start(self, ident: str, model: str, key: str | None) -> Machine:
        """Serve a model under an id, to who has the key."""
        machine = Machine(model, key, self._upstream)
        await machine.start()
        self._running[ident] = machine
        return machine

    async def stop(self, ident: str) -> None:
        """End a machine, if it runs."""
        machine = self._running.pop(ident, None)
        if machine is not None:
            await machine.stop()

    async def close(self) -> None:
        """End all of them."""
        for ident in tuple(self._running):
            await self.stop(ident)


def served_name(args: Sequence[str], env: Mapping[str, str]) -> str:
    """Return the name that a container's server gives its model, by its arguments or environment."""
    words = [part for arg in args for part in arg.split("=", 1)]
    for flag in _FLAGS:
        if flag in words[:-1]:
            return words[words.index(flag) + 1]
    first = next((arg for arg in args if arg != "serve"), "-")
    if not first.startswith("-"):
        return first
    return next((env[name] for name in _VARIABLES if name in env), "model")
