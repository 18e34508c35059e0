"""An edge worker as a process: its key, what it serves, and how it is tried."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from vagus.adapters.evm.keystore import (
    create_keystore,
    load_keystore,
    read_password,
    write_secret,
)
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.edge.bodies import Offered
from vagus.compute.edge.worker import Worker
from vagus.daemon.config_errors import ConfigError, fault_lines
from vagus.daemon.service.signals import on_stop, until_stopped
from vagus.protocol import Refuse, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from coincurve import PrivateKey

    from vagus.compute import Backend, Model
    from vagus.compute.mqtt import MqttConfig

__all__ = ["Served", "WorkerError", "WorkerSettings", "check", "parse_model", "run", "worker_key"]

log = structlog.get_logger("vagus.edge")

# Seconds between two questions to a model server that is not there yet, and for one to answer.
_ASK_EVERY = 5.0
_PATIENCE = 120.0
_BROKER = 15.0
# Seconds for one answer, whatever a node is ready to wait.
_LONGEST = 600.0
_PRICES = ("input", "output")


class WorkerError(VagusError):
    """The worker cannot start, and starting it again would not help."""

    exit_code = 3


@dataclass(frozen=True)
class Served:
    """A model as the server calls it, and as it is offered."""

    config: ModelConfig
    offered: Offered


@dataclass(frozen=True)
class WorkerSettings:
    """What `vagus worker` was told. models: empty for those that the server lists, at `price`."""

    key: PrivateKey
    broker: MqttConfig
    base_url: str
    api_key_file: Path | None
    nodes: frozenset[bytes]
    models: tuple[Served, ...]
    price: tuple[str, str]
    slots: int
    per_node: int | None

    def backend(self) -> OpenAIBackend:
        """Return the local server. Raises ConfigError."""
        try:
            config = OpenAIConfig(
                name="local",
                base_url=self.base_url,
                api_key_file=self.api_key_file,
                models=tuple(each.config for each in self.models),
                max_in_flight=self.slots,
                timeout=_LONGEST,
                # Whose server it is has named it.
                allow_private=True,
            )
        except ValidationError as error:
            raise ConfigError(fault_lines(error, OpenAIConfig, "--serve: ")) from None
        return OpenAIBackend(config)

    def offered(self, backend: Backend, models: Collection[Model]) -> list[Offered]:
        """Return what is offered, of what the server serves."""
        if self.models:
            return [each.offered for each in self.models]
        read, written = self.price
        return [
            Offered(each.name, context=backend.context(each), input=read, output=written)
            for each in models
        ]


def worker_key(folder: Path) -> PrivateKey:
    """Return the worker's key, made at the first start with its password beside it. WalletError."""
    path, password_file = folder / "worker.json", folder / "password"
    if not password_file.exists():
        write_secret(password_file, secrets.token_urlsafe(32).encode())
    password = read_password(password_file)
    if not path.exists():
        create_keystore(path, password)
    return load_keystore(path, password)


def parse_model(text: str, price: tuple[str, str]) -> Served:
    """Read a name, or `name=…[,served_as=…][,context=…]…`. Raises ConfigError."""
    where = f"--model {text}"
    pairs = [part.strip().partition("=") for part in text.split(",")] if "=" in text else []
    parts = {key: value for key, _, value in pairs} or {"name": text}
    known = (*ModelConfig.model_fields, *_PRICES)
    if unknown := sorted(parts.keys() - set(known)):
        raise ConfigError([f"{where}: unknown: {', '.join(unknown)}; there are {', '.join(known)}"])
    told = {key: value for key, value in parts.items() if key not in _PRICES}
    try:
        config = ModelConfig.model_validate(told)
        offered = Offered(
            name=config.name,
            revision=config.revision,
            quantization=config.quantization,
            weights=config.weights,
            context=config.context,
            input=usd(parts.get("input", price[0])),
            output=usd(parts.get("output", price[1])),
        )
    except ValidationError as error:
        raise ConfigError(fault_lines(error, ModelConfig, where)) from None
    except ValueError as error:
        raise ConfigError([f"{where}: {error}"]) from None
    return Served(config, offered)


def usd(text: str) -> str:
    """Return a price as it is announced: plain decimals of at most 12 places. Raises ValueError."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text} is no price: write US dollars, as 0.15") from None
    fits = amount.is_finite() and 0 <= amount <= 1_000_000 and amount == round(amount, 12)
    if not fits:
        raise ValueError(f"{text} is no price in US dollars per 1,000,000 tokens")
    return f"{amount.normalize():f}"


async def run(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError; WorkerError for what only a person can mend."""
    stopping = asyncio.Event()
    try:
        async with settings.backend() as backend:
            models: tuple[Model, ...] = ()
            with until_stopped():
                models = await _models(backend, settings.base_url)
            if models:
                worker = _worker(settings, backend, settings.offered(backend, models))
                with on_stop(stopping.set):
                    await worker.serve(stopping)
    except* Refuse as group:
        raise WorkerError(_reason(group)) from None
    log.info("stopped")


async def check(settings: WorkerSettings, say: Callable[[str], None]) -> None:
    """Ask the server for a token of each model, and write one offer to the broker, without models.

    Raises ConfigError, and VagusError for what does not work.
    """
    async with settings.backend() as backend:
        began = time.monotonic()
        try:
            models = await backend.models()
            await backend.check(timeout=_PATIENCE)
        except (Retry, Refuse) as error:
            todo = "is it up there, and is its key, if it wants one, in --api-key-file?"
            raise VagusError(f"--serve {settings.base_url}: {error.reason}: {todo}") from None
        names = ", ".join(each.name for each in models)
        say(f"{settings.base_url} answered in {time.monotonic() - began:.1f} s: {names}")
        worker = _worker(settings, backend, settings.offered(backend, models))
        async with worker.client:
            try:
                async with asyncio.timeout(_BROKER):
                    await worker.client.until_connected()
                    worker.offer()
                    await worker.client.flushed()
            except TimeoutError:
                url = settings.broker.url
                raise Retry(
                    f"{url} was not reached in {_BROKER:g} s: the log says why", 5
                ) from None
            if worker.client.traffic.dropped["refused"]:
                raise Refuse(
                    f"{settings.broker.url} does not let this worker write: its user name has to be "
                    f"{worker.address.hex()}"
                )
        say(f"{settings.broker.url} takes what this worker writes")


def _worker(settings: WorkerSettings, backend: OpenAIBackend, offered: Sequence[Offered]) -> Worker:
    return Worker(
        settings.key,
        settings.broker,
        backend,
        offered,
        settings.nodes,
        slots=settings.slots,
        per_node=settings.per_node,
    )


async def _models(backend: OpenAIBackend, server: str) -> tuple[Model, ...]:
    """Return the server's models, once it is there."""
    said = ""
    while True:
        try:
            return await backend.models()
        except Retry as error:
            if error.reason != said:
                log.warning("the model server is not there yet", server=server, reason=error.reason)
                said = error.reason
        await asyncio.sleep(_ASK_EVERY)


def _reason(group: BaseExceptionGroup[Refuse]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
