"""Networks that rent machines, as sandboxes, for tests of what rents from them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from vagus.compute.base import Completion, Message, Model
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.leases.base import Container, Lease, Provisioner, Quote, Want
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.spend import Cap
from vagus.compute.sandbox import sandbox_class
from vagus.protocol import Retry

MODEL = "Qwen/Qwen3-8B"
CONTAINER = Container("vllm/vllm-openai:v0.11.0", args=("--model", MODEL))


@dataclass
class Clock:
    """Time that a test moves: it stands in for `time.time`, of the sandbox too."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Network:
    """A sandbox, how a provisioner for it is made, and what may be wanted of it.

    label: what the sandbox calls the label of a machine.
    """

    sandbox: Any
    make: Callable[[], Provisioner]
    want: Want
    label: str

    def labels(self) -> list[str]:
        """Return the labels of all that is rented."""
        return [attrgetter(self.label)(each) for each in self.sandbox.alive]

    async def charged(self) -> Decimal:
        """Return what the network has taken so far, in USD."""
        if hasattr(self.sandbox, "_pass_time"):
            await self.sandbox._pass_time()
        if hasattr(self.sandbox, "spent"):
            return self.sandbox.spent
        return sum((each.paid for each in self.sandbox.deployments.values()), Decimal(0))


def _key(folder: Path, text: str) -> Path:
    path = folder / "network.key"
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def _akash(sandbox: Any, folder: Path) -> Network:
    from vagus.compute.leases.akash import AkashProvisioner

    key = _key(folder, sandbox.api_key)
    want = Want(CONTAINER, gpus=("rtx4090",), hours=1, max_hourly=Decimal("0.60"))
    return Network(sandbox, lambda: AkashProvisioner(key, base_url=sandbox.base_url), want, "label")


def _ionet(sandbox: Any, folder: Path) -> Network:
    from vagus.compute.leases.ionet import IonetProvisioner

    key = _key(folder, sandbox.api_key)
    want = Want(CONTAINER, gpus=("GeForce RTX 4090",), hours=1, max_hourly=Decimal("0.60"))
    return Network(sandbox, lambda: IonetProvisioner(key, base_url=sandbox.base_url), want, "name")


def _render(sandbox: Any, folder: Path) -> Network:
    from vagus.compute.leases.render import GpuOffer, RenderProvisioner

    key = _key(folder, sandbox.secret_key)
    env = {"LLAMA_ARG_ALIAS": MODEL, "LLAMA_ARG_HF_REPO": "Qwen/Qwen3-8B-GGUF"}
    image = "ghcr.io/ggml-org/llama.cpp:server-cuda"
    container = Container(image, env=env, key_env="LLAMA_API_KEY")
    want = Want(container, hours=1, max_hourly=Decimal("0.60"))
    offers = (GpuOffer("NVIDIA RTX 4090", 24, Decimal("0.35")),)

    def make() -> Provisioner:
        return RenderProvisioner(sandbox.api_key, key, offers, base_url=sandbox.base_url)

    return Network(sandbox, make, want, "asked.title")


MAKERS = {"akash": _akash, "ionet": _ionet, "render": _render}
CAP = Cap(2_000_000, 20_000_000)


@contextlib.asynccontextmanager
async def network(name: str, folder: Path) -> AsyncIterator[Network]:
    """Run a network's sandbox."""
    async with sandbox_class(name)() as sandbox:
        yield MAKERS[name](sandbox, folder)


class Guest:
    """A tenant that asks for one token, as a backend does, and remembers where it lives."""

    def __init__(self) -> None:
        self.home: Endpoint | None = None
        self.served = 0

    async def move_in(self, endpoint: Endpoint) -> None:
        hello = Completion(model=Model(MODEL), messages=(Message("user", "Hello"),), max_tokens=1)
        async with ChatClient(endpoint) as client:
            await client.complete(hello, MODEL, timeout=10)
        self.home, self.served = endpoint, self.served + 1

    async def move_out(self) -> None:
        self.home = None


def ident(found: Any) -> str:
    """Return a sandbox's own name of a machine."""
    return next(getattr(found, name) for name in ("dseq", "uuid", "id") if hasattr(found, name))


class Late(Provisioner):
    """Another network, whose first `lease` gets no answer and is done so many seconds later."""

    def __init__(self, make: Callable[[], Provisioner], clock: Clock, after: float) -> None:
        self._make = make
        self._clock = clock
        self._after = after
        self._due: tuple[float, tuple[Any, ...]] | None = None
        self.did = False

    async def __aenter__(self) -> Self:
        self._inner = await self._make().__aenter__()
        self.network, self.settles = self._inner.network, self._inner.settles  # type: ignore[misc]
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._inner.__aexit__(*error)

    async def _catch_up(self) -> None:
        while self._due is not None and self._clock.now >= self._due[0]:
            try:
                await self._inner.lease(*self._due[1])
            except Retry:
                self._clock.now += 3  # as Akash's bids, which come one by one
            else:
                self._due, self.did = None, True

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        return await self._inner.quote(want)

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        self._due = (self._clock.now + self._after, (quote, label, api_key))
        raise Retry("no answer", self.settles)

    async def ready(self, lease: Lease) -> Endpoint | None:
        return await self._inner.ready(lease)

    async def renew(self, lease: Lease, ends: float) -> Lease:
        return await self._inner.renew(lease, ends)

    async def release(self, lease: Lease) -> None:
        await self._inner.release(lease)

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        await self._catch_up()
        return await self._inner.owned(prefix)


@contextlib.asynccontextmanager
async def lessor(
    rented: Network,
    folder: Path,
    clock: Callable[[], float] = time.time,
    *,
    cap: Cap = CAP,
    always: bool = True,
    **plan: float,
) -> AsyncIterator[tuple[Lessor, Ledger, Guest]]:
    """Open a ledger in a folder and a lessor over it, as a node does at its start."""
    guest = Guest()
    async with Ledger(folder) as ledger, rented.make() as provisioner:
        made = Plan("gpu", rented.want, cap, always=always, **plan)
        yield Lessor(provisioner, ledger, made, guest, clock), ledger, guest


async def stop(each: Lessor, clock: Clock, seconds: float) -> bool:
    """End all leases, asking again for so long."""
    ends = clock.now + seconds
    while not (over := await each.stop()) and clock.now < ends:
        clock.sleep(5)
    return over


async def steps(each: Lessor, clock: Clock, seconds: float) -> None:
    """Let a lessor work for so long, moving the clock as it waits."""
    ends = clock.now + seconds
    while clock.now < ends:
        clock.sleep(max(0.01, min(await each.step(), ends - clock.now)))
