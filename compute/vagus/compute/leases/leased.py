"""A backend on a rented machine: it is entered at once, and serves once a lease does."""

import abc
import asyncio
import contextlib
import pathlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import Annotated, Literal, Self

import structlog
from pydantic import Field, StringConstraints, model_validator

from vagus.compute.backends.openai import ModelConfig
from vagus.compute.base import Answer, Backend, Barred, Completion, Delta, Message, Model
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.config import BackendConfig
from vagus.compute.leases.base import Container, Provisioner, Want
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.spend import Cap, micros
from vagus.compute.money import Money
from vagus.compute.price import NoFloat, Price, Usage
from vagus.compute.routing.capacity import Capacity, CapacityConfig
from vagus.protocol import Refuse, Retry

__all__ = ["LeasedBackend", "LeasedConfig"]

# Seconds that a caller waits before it asks again, and that a stop has for releasing.
PAUSE = 5.0
STOP = 20.0
TRIES = 4
# Seconds without a call that anybody served, after which one alone is reason to rent.
ALONE = 60.0

Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Usd = Annotated[Decimal, NoFloat, Field(gt=0, max_digits=18, decimal_places=6)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Size = Annotated[int, Field(ge=1, le=1 << 20)]


class LeasedConfig(BackendConfig):
    """What every network's leased backend is told: what to rent, for how much, when.

    models: what the container serves. image, args, env, port, path: an OpenAI-compatible server; key_env
    is the variable by which it takes its API key. gpus: names that will do, none for any; vram, memory,
    disk in GiB. hours: how long it is paid for at a time. max_hourly, spend_hour, spend_day: USD,
    for one machine by the hour, and for all that this backend rents within any 60 minutes and any 24
    hours. when: rented on `demand`, and released after idle_release seconds without a request; or
    where it is `cheaper` than the tokens that are bought elsewhere, as `capacity` says, and released
    that long after it is not; or `always`. release_on_stop: whether a stop of the node ends the lease. start_timeout: seconds
    until it serves, gone_after: of silence until it is given up.
    """

    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1)]
    image: Text
    args: tuple[Text, ...] = ()
    env: Annotated[dict[str, str], Field(default_factory=dict)]
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    path: Annotated[str, StringConstraints(pattern=r"^(/[^\s?#]+)?$")] = "/v1"
    key_env: Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]*$")] = "VLLM_API_KEY"
    gpus: tuple[Text, ...] = ()
    gpu_count: Annotated[int, Field(ge=1, le=64)] = 1
    vram: Annotated[int, Field(ge=0, le=1024)] = 0
    cpus: Annotated[int, Field(ge=1, le=1024)] = 4
    memory: Size = 16
    disk: Size = 50
    regions: tuple[Text, ...] = ()
    hours: Annotated[int, Field(ge=1, le=168)] = 1
    max_hourly: Usd
    spend_hour: Usd
    spend_day: Usd
    when: Literal["demand", "cheaper", "always"] = "demand"
    capacity: CapacityConfig = CapacityConfig()
    idle_release: Seconds = 900.0
    release_on_stop: bool = False
    start_timeout: Seconds = 1800.0
    gone_after: Seconds = 120.0
    timeout: Seconds = 120.0
    read_timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _keeps_its_key(self) -> Self:
        if self.key_env in self.env:
            raise ValueError(
                f"env: {self.key_env} is where the node puts the server's key: take it out, "
                "or name another variable by key_env"
            )
        return self

    def plan(self) -> Plan:
        """Return it as a lessor takes it."""
        container = Container(
            image=self.image,
            args=self.args,
            env=MappingProxyType(dict(self.env)),
            port=self.port,
            key_env=self.key_env,
            path=self.path,
        )
        want = Want(
            container=container,
            gpus=self.gpus,
            count=self.gpu_count,
            vram=self.vram,
            cpus=self.cpus,
            memory=self.memory,
            disk=self.disk,
            regions=self.regions,
            hours=self.hours,
            max_hourly=self.max_hourly,
        )
        return Plan(
            backend=self.name,
            want=want,
            cap=Cap(micros(self.spend_hour), micros(self.spend_day)),
            always=self.when == "always",
            idle=self.idle_release,
            start=self.start_timeout,
            gone=self.gone_after,
        )


class LeasedBackend(Backend, abc.ABC):
    """One machine of one network. A subclass names its Config and makes its provisioner."""

    rents = True

    def __init__(self, config: LeasedConfig) -> None:
        super().__init__(config)
        self.settings = config
        self._price = config.price.price()
        self._served = {m.model(): m.served_as or m.name for m in config.models}
        self._folder: pathlib.Path | None = None
        self._lessor: Lessor | None = None
        self._money = Money()
        self._unserved_since: float | None = None
        self._saving = ""
        self._capacity = Capacity(config.capacity, time.monotonic)
        self._client: ChatClient | None = None
        self._endpoint: Endpoint | None = None
        self._life = contextlib.AsyncExitStack()
        self._log = structlog.get_logger("vagus.compute").bind(backend=config.name)

    @abc.abstractmethod
    def provisioner(self) -> Provisioner:
        """Return the network's provisioner, not yet entered."""

    def keep_in(self, folder: pathlib.Path) -> None:
        """Keep the ledger of leases in a folder."""
        self._folder = folder

    def price_by(self, money: Money) -> None:
        """Compare what the machine costs with what tokens cost by this rate."""
        self._money = money

    def used(self, model: Model, usage: Usage, elsewhere: Price | None) -> None:
        """Rent, or keep what is rented, where that is cheaper than the tokens elsewhere."""
        if self.settings.when != "cheaper" or self._lessor is None or model not in self._served:
            return
        self._capacity.used(usage)
        self._unserved_since = None
        if elsewhere is None:
            self._saving = ""
            self._lessor.need()
            return
        try:
            hour = Decimal(self._money.parts(self.settings.max_hourly))
        except Retry as error:
            self._saving = error.reason
            return
        wanted, reason = self._capacity.decide(elsewhere, hour, leased=self._client is not None)
        self._saving = "" if wanted else reason
        if wanted:
            self._lessor.need()

    async def __aenter__(self) -> Self:
        if self._folder is None:
            raise Refuse(f"backend {self.name} rents machines, and has no folder for its ledger")
        async with contextlib.AsyncExitStack() as stack:
            ledger = await stack.enter_async_context(Ledger(self._folder))
            provisioner = await stack.enter_async_context(self.provisioner())
            stack.push_async_callback(self.move_out)
            lessor = Lessor(provisioner, ledger, self.settings.plan(), self)
            stack.push_async_callback(self._stop, lessor)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            task = group.create_task(lessor.run(), name=f"leases of {self.name}")
            stack.callback(task.cancel)
            self._lessor = lessor
            self._life = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lessor = None
        # Without the body's error, which a TaskGroup would wrap in a group.
        await self._life.aclose()

    async def _stop(self, lessor: Lessor) -> None:
        """End what is rented, where the config says so; what can't be ended now is at the next start."""
        if not self.settings.release_on_stop:
            return
        try:
            async with asyncio.timeout(STOP):
                for _ in range(TRIES):
                    if await lessor.stop():
                        return
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            pass  # said below, as when each try was in vain
        self._log.warning("not released yet: the next start goes on with it", why=lessor.why)

    async def models(self) -> tuple[Model, ...]:
        """Return the configured models, rented or not."""
        return tuple(self._served)

    def price(self, model: Model) -> Price:
        """Return the configured price of tokens: what the lease costs is in its ledger."""
        self._served_as(model)
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion; Retry, and a lease to be, while no machine serves."""
        served_as = self._served_as(request.model)
        client = self._up()
        try:
            return await client.complete(request, served_as, timeout=timeout)
        except (Retry, Barred):
            self._doubt()
            raise

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, as `complete` runs it."""
        served_as = self._served_as(request.model)
        pieces = self._up().stream(request, served_as, timeout=timeout)
        try:
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield piece
        except (Retry, Barred):
            self._doubt()
            raise

    async def check(self, *, timeout: float) -> None:
        """Ask the machine, if one serves: a check is no reason to rent one."""
        if self._client is None:
            raise Retry(self._waiting(), PAUSE)
        await super().check(timeout=timeout)

    async def move_in(self, endpoint: Endpoint) -> None:
        """Take a completion of each model from a server and use it from then on."""
        if endpoint == self._endpoint and self._client is not None:
            await self._greet(self._client)
            return
        client = await ChatClient(self._bounded(endpoint)).__aenter__()
        try:
            await self._greet(client)
        except BaseException:
            await client.__aexit__(None, None, None)
            raise
        await self.move_out()
        self._client, self._endpoint = client, endpoint

    async def move_out(self) -> None:
        """Use no server any more; calls under way end with Retry."""
        client, self._client, self._endpoint = self._client, None, None
        if client is not None:
            await client.__aexit__(None, None, None)

    async def _greet(self, client: ChatClient) -> None:
        for model, served_as in self._served.items():
            hello = Completion(model=model, messages=(Message("user", "Hello"),), max_tokens=1)
            await client.complete(hello, served_as, timeout=self.settings.timeout)

    def _bounded(self, endpoint: Endpoint) -> Endpoint:
        return replace(
            endpoint,
            read_timeout=self.settings.read_timeout,
            timeout=self.settings.timeout,
            max_in_flight=self.settings.max_in_flight,
        )

    def _served_as(self, model: Model) -> str:
        try:
            return self._served[model]
        except KeyError:
            raise Barred(f"backend {self.name} does not serve {model.name}") from None

    def _up(self) -> ChatClient:
        if self._lessor is not None and (self.settings.when != "cheaper" or self._alone()):
            self._lessor.need()
        if self._client is None:
            raise Retry(self._waiting(), PAUSE)
        return self._client

    def _alone(self) -> bool:
        """Whether it has been asked for a while, and nobody has served a call of its models since."""
        now = time.monotonic()
        self._unserved_since = self._unserved_since or now
        return now - self._unserved_since >= ALONE

    def _doubt(self) -> None:
        if self._lessor is not None:
            self._lessor.doubt()

    def _waiting(self) -> str:
        # Whoever asked an intent can read this: what a network said is for the node's own log.
        why = "it is closed" if self._lessor is None else self._saving or "the log says why"
        return f"backend {self.name} has no machine that serves: {why}"
