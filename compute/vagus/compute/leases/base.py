"""The contract of a provisioner: a network that rents out GPUs by the hour.

    quote    what there is, and the most that it costs    no effect
    lease    rent one, under a label                      costs money
    ready    where its server is, once it has an address  no effect
    renew    let it last longer                           costs money
    release  end it                                       ends the cost
    owned    what is rented under labels like ours        no effect

What goes wrong carries its action, as with backends:

    Retry(reason, after)  ask the same again later. Also where the network may have done the work
                          all the same: a timeout, a cut connection, a 500
    Refuse(reason)        the same call fails each time: a bad key, no credit, a lease that is gone

Nothing else leaves a provisioner but cancellation. It never retries, keeps nothing between calls
that it could not lose, and writes nothing down: the lessor journals each call before it is made, and
asks again after a crash at any point of it. So every call is safe to be made twice.

Money is USD, as Decimal. Times are Unix seconds of the node's clock.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import ClassVar, Self

from vagus.compute.client import Endpoint

__all__ = ["Container", "Lease", "Provisioner", "Quote", "Want", "span"]


@dataclass(frozen=True, slots=True)
class Container:
    """An OpenAI-compatible server as an image.

    args: what follows the image's entry point; none leaves the image's own. key_env: the variable by
    which the server takes its API key (`VLLM_API_KEY`, `LLAMA_API_KEY`). path: where the API begins
    on its port.
    """

    image: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    port: int = 8000
    key_env: str = "VLLM_API_KEY"
    path: str = "/v1"


@dataclass(frozen=True, slots=True)
class Want:
    """What to rent, and for how much at most.

    gpus: names that will do, as the network spells them; none for any. count: GPUs in one machine.
    vram, memory, disk: GiB; vram of each GPU. regions: as the network names them, none for any.
    hours: how long the lease is paid for at first, whole hours where a quote is prepaid. max_hourly: USD per hour for all of it.
    """

    container: Container
    gpus: tuple[str, ...] = ()
    count: int = 1
    vram: int = 0
    cpus: int = 4
    memory: int = 16
    disk: int = 50
    regions: tuple[str, ...] = ()
    hours: float = 1.0
    max_hourly: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Quote:
    """A machine that may be rented for a Want.

    offer: what the network needs to find it again. hourly: the most it costs, USD per hour for all its
    GPUs; `lease` agrees to no more. prepaid: its hours are paid when they are rented, and a release
    gives none back; else only what passes until the release is paid. held: USD that the network takes as a
    deposit and pays the machine out of to the last cent, unless it is released before: where that is
    more than the hours that are wanted, the caps must have room for it.
    """

    want: Want
    offer: str
    gpu: str
    hourly: Decimal
    region: str = "unknown"
    prepaid: bool = False
    held: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Lease:
    """A machine that is rented and may cost money, as the network has it.

    id: the network's. label: ours, under which it was rented. hourly: USD per hour, None where the
    network does not say. ends: when the network itself ends it unless it is renewed, whatever becomes
    of this node; None where it would go on for as long as the account has credit.
    """

    id: str
    label: str
    hourly: Decimal | None = None
    ends: float | None = None


def span(want: Want) -> int:
    """Return the seconds that a lease is booked for at a time."""
    return max(1, round(want.hours * 3600))


class Provisioner(abc.ABC):
    """One account on a network, used as `async with` and only inside it.

    settles: seconds after which whatever a call has begun is surely listed by `owned`, though its answer
    never came; until then an empty list proves nothing.

    An implementation
    - does no I/O before `__aenter__`, and raises Refuse there for a key file that can't be used;
    - bounds size, depth and time of all it reads: an API that answers nonsense is a Retry;
    - keeps keys out of errors, logs and its repr; the container's key is sent where the network keeps
      secrets, if it knows such a place;
    - sets up each lease so that the network ends it by itself (`ends`): a duration, a timeout, an
      escrow that does not refill. Where it can't, it says so by None.
    """

    network: str
    settles: ClassVar[float] = 30.0

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Become usable."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close connections; no lease ends by that."""

    @abc.abstractmethod
    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return what may be rented now, cheapest first, none over `want.max_hourly`.

        Empty where the network has nothing. Makes nothing on the network. Raises Retry or Refuse.
        """

    @abc.abstractmethod
    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Rent the quoted machine for `quote.want.hours` under a label, or return the one that is.

        Looks for the label first: whatever an earlier call had reached, alive or killed, is gone on
        with, never begun anew, and under one label at most one machine is ever rented. api_key is what
        the container's server shall ask for; the same label comes with the same key.

        Raises Retry where it is under way and another call shall go on with it (bids that have
        not come), or where the outcome is not known; Refuse where this quote can't be had any more,
        or costs more. After either, a part of it may be left under the label: `owned` lists it.
        """

    @abc.abstractmethod
    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return where the container's server is, its `path` included, None without an address yet.

        An address is no proof that it serves: the lessor asks it for a completion. `api_key` of the
        Endpoint is None unless the server has another one than it was handed. Raises Retry where
        the network does not answer, Refuse where the lease has ended or its machine is gone.
        """

    @abc.abstractmethod
    async def renew(self, lease: Lease, ends: float) -> Lease:
        """Let a lease last until `ends` at least, and return it as it is then.

        No more than `lease.hourly` is paid for an hour. A time, not a span: the network's own end is read first and only what is missing is bought, so
        that a second call buys nothing. Raises Refuse where the network can't, or has ended it.
        """

    @abc.abstractmethod
    async def release(self, lease: Lease) -> None:
        """End a lease; return only once the network says that it is over, or does not know it.

        Raises Retry for all else, an answer whose outcome is not known too; Refuse only where no later
        call can do better (a bad key).
        """

    @abc.abstractmethod
    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        """Return all that may cost money under labels of this prefix, halves of a lease too.

        All or nothing: a list that can't be read to its end is a Retry.
        """

    async def credit(self) -> Decimal | None:
        """Return what the account has left in USD, None where the network does not tell."""
        return None
