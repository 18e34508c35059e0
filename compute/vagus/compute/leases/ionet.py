"""io.net's containers (CaaS): hours on a GPU, paid before they run and never paid back.

Source: io.net's API reference, "CaaS"; the wheel `ionet-cloud` where the reference is silent (names and
statuses of deployments, the forms of errors). No call was made to the real API. What follows from it:

- The API has no keys for idempotency and lets two deployments have one name. A lease is looked for by
  its name first, and an answer that did not come is a long Retry: what was begun is listed by then.
- Hours are paid when they are asked for. A lease ends by itself, whatever becomes of this node.
- It does not tell how much memory a GPU has: a Want with `vram` must name its GPUs.
"""

import math
import pathlib
import time
from decimal import Decimal
from typing import TypeVar

import msgspec

from vagus.compute.http_bounds import Endpoint
from vagus.compute.leases.api import ApiRefused
from vagus.compute.leases.base import Lease, Quote, Want
from vagus.compute.leases.checks import matches
from vagus.compute.leases.ionet_wire import (
    Containers,
    Deployed,
    Deployment,
    Details,
    Hardware,
    List,
    Listed,
    MaxGpus,
    Place,
    Price,
    Replicas,
)
from vagus.compute.leases.keyed import KeyedProvisioner
from vagus.protocol import Refuse, Retry

__all__ = ["IonetProvisioner"]

T = TypeVar("T")

BASE_URL = "https://api.io.solutions"
CAAS = "/enterprise/v1/io-cloud/caas"
# Seconds until a deployment whose answer was lost is surely listed, and until a shut-down is over.
UNSURE = 60.0
ENDING = 5.0
MAX_PAGE = 100
MAX_PAGES = 100
# Kinds of hardware and places that are priced for one quote: each is a call.
MAX_PRICED = 12


class IonetProvisioner(KeyedProvisioner):
    """One account; base_url is the API's root, as io.net's own client takes it.

    path: where a container's API begins at its address.
    """

    network = "io.net"
    title = "io.net"
    root = CAAS
    # A call may take half a minute, and be listed some time after.
    settles = 90.0

    def __init__(
        self,
        api_key_file: pathlib.Path,
        *,
        path: str = "/v1",
        base_url: str = BASE_URL,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(api_key_file, base_url=base_url, path=path, timeout=timeout)

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return a quote for each kind of hardware and place, cheapest first."""
        if want.vram and not want.gpus:
            raise Refuse("io.net does not tell how much memory its GPUs have: name the gpus")
        if want.hours != int(want.hours):
            raise Refuse(f"io.net rents whole hours, not {want.hours:g}")
        found: list[Quote] = []
        for hardware, place in await self._offers(want):
            offer = msgspec.json.encode([hardware.hardware_id, place.id]).decode()
            hourly = await self._hourly(hardware.hardware_id, place.id, want.count, _hours(want))
            if hourly <= want.max_hourly:
                region = place.iso2.lower()
                name = hardware.hardware_name
                found.append(Quote(want, offer, name, hourly, region, prepaid=True))
        return tuple(sorted(found, key=lambda each: each.hourly))

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Deploy the container, or return the deployment that has the label."""
        self._hide(quote.want.container, api_key)
        found = [each for each in await self._deployments() if each.name == label]
        alive = [each for each in found if not each.over]
        if alive:
            return _lease(alive[-1], label)
        if found:
            raise Refuse(f"the deployment {label} is {found[0].status} at io.net")
        want = quote.want
        if await self._hourly(*_offer(quote.offer), want.count, _hours(want)) > quote.hourly:
            raise Refuse(
                f"io.net's price for {quote.gpu} is over {quote.hourly} USD an hour by now"
            )
        body = msgspec.json.encode(_deploy(quote, label, api_key))
        made = await self._buy("/deploy", Deployed, body)
        ends = time.time() + 3600 * _hours(want)
        return Lease(made.deployment_id, label, quote.hourly, ends)

    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return the first container's address; it has none before the network's own check."""
        found = await self._details(lease)
        if found is None:
            if any(each.id == lease.id for each in await self._deployments()):
                return None  # listed, and not yet to be read
            raise Refuse(f"io.net does not know the deployment {lease.id}")
        if found.over:
            raise Refuse(f"the deployment {lease.id} is {found.status} at io.net")
        path = f"/deployment/{lease.id}/containers"
        containers = await self._call("GET", path, Containers)
        for worker in containers.data.workers:
            if worker.public_url:
                return self._endpoint(worker.public_url)
        return None

    async def renew(self, lease: Lease, ends: float) -> Lease:
        """Pay for the hours that are missing until then."""
        found = await self._details(lease)
        if found is None or found.over:
            raise Refuse(f"the deployment {lease.id} is over at io.net: it can't be renewed")
        last = found.ends()
        if last is None:
            raise Retry(f"io.net does not tell when the deployment {lease.id} ends")
        # Minutes are told rounded down: the last one that began counts, lest an hour is bought for it.
        missing = math.ceil((ends - last - 60) / 3600)
        if missing > 0:
            await self._check_price(found, lease, missing)
            body = msgspec.json.encode({"duration_hours": missing})
            path = f"/deployment/{lease.id}/extend"
            found = (await self._buy(path, Details, body)).data
        return _lease(found, lease.label)

    async def release(self, lease: Lease) -> None:
        """Destroy the deployment; what was paid for is not paid back."""
        found = await self._details(lease)
        if found is None or found.over:
            return
        if found.status.lower() != "termination requested":
            try:
                await self._call("DELETE", f"/deployment/{lease.id}", msgspec.Raw)
            except ApiRefused as error:
                if error.status in {401, 403}:
                    raise
                # What it says to one that ended in between is not documented: the next look tells.
                raise Retry(error.reason, ENDING) from None
            found = await self._details(lease)
        if found is not None and not found.over:
            raise Retry(f"io.net is still ending the deployment {lease.id}", ENDING)

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        """Return the deployments that are not over and whose names begin so."""
        return tuple(
            _lease(each, each.name)
            for each in await self._deployments()
            if each.name is not None and each.name.startswith(prefix) and not each.over
        )

    async def _offers(self, want: Want) -> list[tuple[Hardware, Place]]:
        """Return the hardware that will do, with the places that have some of it."""
        listed = await self._call("GET", "/hardware/max-gpus-per-container", MaxGpus)
        fitting = [
            each
            for each in listed.data.hardware
            if matches(want.gpus, each.hardware_name)
            and (each.max_gpus_per_container or 0) >= want.count
            and each.available != 0
        ]
        found: list[tuple[Hardware, Place]] = []
        for hardware in fitting[:MAX_PRICED]:
            query = {"hardware_id": str(hardware.hardware_id), "hardware_qty": str(want.count)}
            places = await self._call("GET", "/available-replicas", Replicas, query=query)
            found += [
                (hardware, place)
                for place in places.data
                if place.available_replicas
                and (matches(want.regions, place.iso2) or matches(want.regions, place.name))
            ]
        return found[:MAX_PRICED]

    async def _check_price(self, found: Deployment, lease: Lease, hours: int) -> None:
        """Refuse hours that cost more than the lease's. Extending names no price, and pays any."""
        if lease.hourly is None:
            return
        hardware, gpus, places = found.hardware_id, found.total_gpus, found.locations
        if hardware is None or not gpus or not places:
            raise Refuse(
                f"io.net does not tell what the deployment {lease.id} would cost for longer"
            )
        if await self._hourly(hardware, places[0].id, gpus, hours) > lease.hourly:
            raise Refuse(f"io.net's price for {lease.id} is over {lease.hourly} USD an hour by now")

    async def _hourly(
        self, hardware: int | str, place: int | str, gpus: int, hours: int
    ) -> Decimal:
        """Return what a container of so many GPUs costs an hour, where so many hours are paid."""
        query = {
            "location_ids": msgspec.json.encode([place]).decode(),
            "hardware_id": str(hardware),
            "duration_hours": str(hours),
            "gpus_per_container": str(gpus),
            "replica_count": "1",
        }
        total = (await self._call("GET", "/price", Price, query=query)).data.total_cost_usdc
        if not total.is_finite() or not 0 < total < 10**9:
            raise Retry("io.net named a price that is none")
        return total / hours

    async def _details(self, lease: Lease) -> Deployment | None:
        """Return a deployment as it is, None for one that the network does not know."""
        try:
            found = (await self._call("GET", f"/deployment/{lease.id}", Details)).data
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        if found.id != lease.id:
            raise Retry(f"io.net answered for the deployment {lease.id} with another one")
        return found

    async def _deployments(self) -> tuple[Deployment, ...]:
        """Return every deployment there was, newest first as they come. Raises Retry for a part.

        The reference counts pages from 0 and io.net's own client from 1: what is missing of the total
        after the pages from 1 on must be on page 0.
        """
        found: dict[str, Deployment] = {}
        total: int | None = None
        for page in range(1, MAX_PAGES + 1):
            listed = await self._page(page)
            total = listed.total
            found |= {each.id: each for each in listed.deployments}
            if len(listed.deployments) < MAX_PAGE:
                break
        else:
            raise Retry(f"io.net lists over {MAX_PAGES * MAX_PAGE} deployments", UNSURE)
        if total is None or len(found) < total:
            found |= {each.id: each for each in (await self._page(0)).deployments}
        if total is not None and len(found) < total:
            raise Retry(f"io.net lists {len(found)} of {total} deployments")
        return tuple(found.values())

    async def _page(self, page: int) -> Listed:
        query = {"page": str(page), "page_size": str(MAX_PAGE)}
        return (await self._call("GET", "/deployments", List, query=query)).data

    async def _buy(self, path: str, answer: type[T], body: bytes) -> T:
        """Ask for what costs money: where the answer is lost, it shows only after a while."""
        try:
            return await self._call("POST", path, answer, body=body)
        except Retry as error:
            raise Retry(error.reason, max(error.after, UNSURE)) from None

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        return await self._api.call(
            method, path, answer, query=query, body=body, headers={"x-api-key": self._key}
        )


def _deploy(quote: Quote, label: str, api_key: str) -> dict[str, object]:
    """Return the body of a deployment; the container's key is where values are never shown again."""
    want, container = quote.want, quote.want.container
    hardware, place = _offer(quote.offer)
    config: dict[str, object] = {
        "replica_count": 1,
        "traffic_port": container.port,
        "env_variables": dict(container.env),
        "secret_env_variables": {container.key_env: api_key},
    }
    if container.args:
        config["args"] = list(container.args)
    return {
        "resource_private_name": label,
        "duration_hours": _hours(want),
        "gpus_per_container": want.count,
        "hardware_id": hardware,
        "location_ids": [place],
        "container_config": config,
        "registry_config": {"image_url": container.image},
    }


def _offer(text: str) -> tuple[int | str, int | str]:
    """Return the hardware and the place that a quote names."""
    hardware, place = msgspec.json.decode(text, type=tuple[int | str, int | str])
    return hardware, place


def _hours(want: Want) -> int:
    return max(1, math.ceil(want.hours))


def _lease(found: Deployment, label: str) -> Lease:
    return Lease(found.id, label, None, found.ends())
