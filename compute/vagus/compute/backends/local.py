"""The local model: llama.cpp's server as a child process that the node starts and watches."""

import asyncio
import contextlib
import importlib.metadata
import pathlib
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Annotated, Self

import structlog
from pydantic import Field

from vagus.compute.backends import local_server
from vagus.compute.base import Answer, Backend, Barred, Completion, Delta, Message, Model, Rescored
from vagus.compute.child import Child
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.config import BackendConfig, Label
from vagus.compute.price import Price
from vagus.compute.rescoring import rescore
from vagus.compute.weights import weights_sha256
from vagus.protocol import Refuse, Retry

__all__ = ["LocalBackend", "LocalConfig"]

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
# A server that served this long did not die of what it was started with.
STEADY = 60.0


class LocalConfig(BackendConfig):
    """`kind = "local"`: a GGUF file on this machine; by default the one that vagus fetches.

    model_path: the file; whoever makes the backend fills in the default's. model, revision and
    quantization name what the file is. parallel: requests at once. context: tokens per request,
    prompt and answer. threads: half the cores unless given. start_timeout: seconds for loading.
    """

    kind: Label = "local"
    name: Label = "local"
    region: Label = "local"
    network: Label = "local"
    model_path: pathlib.Path | None = None
    model: str = "SmolLM2-135M-Instruct"
    revision: str | None = None
    quantization: str | None = "Q4_1"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    parallel: Annotated[int, Field(ge=1, le=64)] = 4
    context: Annotated[int, Field(ge=256, le=1 << 20)] = 2048
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0
    start_timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0


class LocalBackend(Backend):
    """One child process; it is started again, with growing pauses, as often as it dies."""

    Config = LocalConfig
    rescores = True
    cancels = True

    def __init__(self, config: LocalConfig) -> None:
        super().__init__(config)
        self._config = config
        self._price = config.price.price()
        self._model = Model(config.model, config.revision, config.quantization)
        self._client: ChatClient | None = None
        self._child: Child | None = None
        self._life = contextlib.AsyncExitStack()
        self._log = structlog.get_logger("vagus.compute").bind(backend=config.name)

    @property
    def pid(self) -> int | None:
        """The server's process id while it is up."""
        return None if self._child is None else self._child.pid

    async def __aenter__(self) -> Self:
        config = self._config
        self.engine = f"xllamacpp {_engine_version()}"
        if config.model_path is None:
            raise Refuse(f"backend {self.name} has no model_path")
        try:
            weights = await asyncio.to_thread(weights_sha256, config.model_path)
        except OSError as error:
            raise Refuse(f"the weights can't be read: {error}") from None
        self._model = Model(config.model, config.revision, config.quantization, weights)
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group = await self._life.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(
            self._keep_running(config.model_path, first), name=f"backend {self.name}"
        )
        self._life.callback(task.cancel)
        try:
            async with asyncio.timeout(config.start_timeout):
                await first
        except BaseException as error:
            await self._life.aclose()
            if isinstance(error, TimeoutError):
                late = f"the local model did not answer within {config.start_timeout:g} s"
                raise Retry(late) from None
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Without the body's error, which a TaskGroup would wrap in a group.
        await self._life.aclose()

    async def models(self) -> tuple[Model, ...]:
        """Return the one model; its weights are hashed on entering."""
        return (self._model,)

    def price(self, model: Model) -> Price:
        """Return the configured price."""
        self._check_served(model)
        return self._price

    def context(self, model: Model) -> int | None:
        """Return the configured context."""
        self._check_served(model)
        return self._config.context

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says; Retry while the server is down."""
        self._check_served(request.model)
        return await self._up().complete(request, self._model.name, timeout=timeout)

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, as the contract says; Retry while the server is down."""
        self._check_served(request.model)
        pieces = self._up().stream(request, self._model.name, timeout=timeout)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def rescore(
        self, request: Completion, tokens: Sequence[int], *, timeout: float
    ) -> Rescored:
        """Read an answer's tokens again, as the contract says; Retry while the server is down."""
        self._check_served(request.model)
        return await rescore(self._up(), request, tokens, timeout=timeout)

    async def _keep_running(self, path: pathlib.Path, first: asyncio.Future[None]) -> None:
        """Run the server for as long as this backend is entered."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        while True:
            started = loop.time()
            try:
                reason = await self._run_once(path, first)
            except (Retry, Refuse) as error:
                reason = error.reason
            if not first.done():
                # It never served with these weights on this machine: a restart can't mend that.
                first.set_exception(Refuse(f"the local model can't be started: {reason}"))
                return
            delay = FIRST_DELAY if loop.time() - started > STEADY else delay
            self._log.warning("local model down", reason=reason, restart_in=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _run_once(self, path: pathlib.Path, first: asyncio.Future[None]) -> str:
        """Start the server, serve until it ends, and return why it ended."""
        config = self._config
        settings = local_server.Settings(
            model_path=str(path),
            name=self._model.name,
            api_key=Child.new_key(),
            context=config.context,
            parallel=config.parallel,
            threads=config.threads,
        )
        async with Child(local_server.__name__, settings, what="the model server") as child:
            port = await child.port(timeout=config.start_timeout)
            endpoint = Endpoint(
                base_url=f"http://127.0.0.1:{port}/v1",
                api_key=settings.api_key,
                timeout=config.timeout,
                read_timeout=config.timeout,
                max_in_flight=config.max_in_flight,
            )
            async with ChatClient(endpoint) as client:
                hello = Completion(
                    model=self._model, messages=(Message("user", "Hello"),), max_tokens=1
                )
                await client.complete(hello, self._model.name, timeout=config.start_timeout)
                self._client, self._child = client, child
                self._log.info("local model ready", pid=child.pid, engine=self.engine)
                if not first.done():
                    first.set_result(None)
                try:
                    return await child.ended()
                finally:
                    self._client = self._child = None

    def _check_served(self, model: Model) -> None:
        if model != self._model:
            raise Barred(f"backend {self.name} does not serve {model.name}")

    def _up(self) -> ChatClient:
        if self._client is None:
            raise Retry(f"the model server of backend {self.name} is down", FIRST_DELAY)
        return self._client


def _engine_version() -> str:
    try:
        return importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        raise Refuse("the local model needs its engine: pip install 'vagus[local]'") from None
