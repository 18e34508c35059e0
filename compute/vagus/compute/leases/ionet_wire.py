"""What io.net's containers (CaaS) answer, as far as it is read: types and bounds of a stranger's words.

Source: io.net's API reference, "CaaS"; the wheel `ionet-cloud` where the reference is silent.
"""

import time
from decimal import Decimal
from typing import Annotated

import msgspec

__all__ = [
    "Containers",
    "Deployed",
    "Deployment",
    "Details",
    "Hardware",
    "List",
    "Listed",
    "MaxGpus",
    "Place",
    "Price",
    "Replicas",
]

OVER = frozenset({"completed", "failed", "destroyed", "terminated"})

Id = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z-]{1,64}$")]
# Others of the account's are named by people.
Name = Annotated[str, msgspec.Meta(max_length=4096)]
Word = Annotated[str, msgspec.Meta(max_length=128)]
Minutes = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class Hardware(msgspec.Struct):
    """A kind of hardware that may be rented."""

    hardware_id: int | Id
    hardware_name: Word
    max_gpus_per_container: Count | None = None
    available: Count | None = None


class Hardwares(msgspec.Struct):
    """What there is."""

    hardware: list[Hardware]


class MaxGpus(msgspec.Struct):
    """`GET /hardware/max-gpus-per-container`."""

    data: Hardwares


class Place(msgspec.Struct):
    """A place, and how many containers of a kind fit there now."""

    id: int | Id
    iso2: Word
    name: Word
    available_replicas: Count


class Replicas(msgspec.Struct):
    """`GET /available-replicas`."""

    data: list[Place]


class Total(msgspec.Struct):
    """A price in USD for all that was asked, fees in it."""

    total_cost_usdc: Decimal


class Price(msgspec.Struct):
    """`GET /price`."""

    data: Total


class Deployed(msgspec.Struct):
    """`POST /deploy`: the id of what was begun."""

    deployment_id: Id


class Where(msgspec.Struct):
    """Where a deployment is."""

    id: int | Id


class Deployment(msgspec.Struct):
    """A deployment, as the list and its details have it; only details say what it runs on, and lack the name."""

    id: Id
    status: Word
    name: Name | None = None
    compute_minutes_remaining: Minutes | None = None
    hardware_id: int | Id | None = None
    total_gpus: Count | None = None
    locations: list[Where] | None = None

    @property
    def over(self) -> bool:
        """Say whether it costs nothing any more."""
        return self.status.lower().replace("_", " ") in OVER

    def ends(self) -> float | None:
        """Return when its hours are over, Unix seconds; None where it is not told."""
        left = self.compute_minutes_remaining
        return None if left is None else time.time() + 60 * left


class Details(msgspec.Struct):
    """`GET /deployment/{id}`, and what extending answers."""

    data: Deployment


class Listed(msgspec.Struct):
    """A page of deployments, and how many there are in all."""

    deployments: list[Deployment]
    total: Count | None = None


class List(msgspec.Struct):
    """`GET /deployments`."""

    data: Listed


class Worker(msgspec.Struct):
    """One container; its address comes once the network has checked it."""

    public_url: Annotated[str, msgspec.Meta(max_length=512)] | None = None


class Workers(msgspec.Struct):
    """All containers."""

    workers: list[Worker]


class Containers(msgspec.Struct):
    """`GET /deployment/{id}/containers`."""

    data: Workers
