"""io.net's containers (CaaS) on 127.0.0.1: GPUs by the hour, paid before they run.

Source: io.net's API reference, "CaaS", and io.net's own Python client (wheel `ionet-cloud`), whose
models name what the reference leaves out. A deployment takes some looks to run, as the real one takes
minutes; its hours pass by the sandbox's clock. Names need not differ: a second deployment of the same
name is a second rent, the worst that an API without idempotency keys can do.
"""

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from vagus.compute.sandbox.base import ApiError, json_response
from vagus.compute.sandbox.ionet_requests import Deploy, Extend, invalid, number, read
from vagus.compute.sandbox.machine import served_name
from vagus.compute.sandbox.rental import RentalSandbox

__all__ = ["Deployment", "Hardware", "IonetSandbox"]

CAAS = "/enterprise/v1/io-cloud/caas"
STATUSES = (
    "running",
    "completed",
    "failed",
    "deployment requested",
    "termination requested",
    "destroyed",
)
OVER = frozenset({"completed", "failed", "destroyed"})
FEE = Decimal("0.02")
MAX_PAGE = 100


@dataclass
class Hardware:
    """What may be rented. price: USD a GPU and hour. replicas: what is left by location."""

    id: int
    name: str
    price: Decimal
    gpus: int
    replicas: dict[int, int]


@dataclass
class Deployment:
    """One deployment, by its status; `looks` are counted until it runs and has an address."""

    id: str
    name: str
    hardware: Hardware
    location: int
    gpus: int
    hours: int
    paid: Decimal
    asked: Deploy
    created: float
    status: str = "deployment requested"
    looks: int = 0
    started: float | None = None
    containers: list[str] = field(default_factory=list)


LOCATIONS = {9: ("DE", "Frankfurt"), 12: ("US", "United States")}


class IonetSandbox(RentalSandbox):
    """`deployments` are what was rented, by id; `spent` is what they cost, in USD.

    patience: looks at a deployment until it runs, and again as many until it has an address.
    """

    def __init__(self, *, port: int = 0, upstream: str | None = None) -> None:
        super().__init__(port=port, upstream=upstream)
        self.hardware = {
            203: Hardware(203, "GeForce RTX 4090", Decimal("0.30"), 8, {9: 3, 12: 5}),
            190: Hardware(190, "H100 PCIe", Decimal("1.70"), 8, {12: 2}),
            7: Hardware(7, "A100-SXM4-80GB", Decimal("1.10"), 8, {9: 1}),
        }
        self.deployments: dict[str, Deployment] = {}
        self.spent = Decimal(0)
        self.patience = 1

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the API's calls."""
        one = CAAS + "/deployment/{id}"
        return [
            web.get(CAAS + "/hardware", self._list_hardware),
            web.get(CAAS + "/hardware/max-gpus-per-container", self._max_gpus),
            web.get(CAAS + "/available-replicas", self._replicas),
            web.get(CAAS + "/price", self._price),
            web.get(CAAS + "/clusters/check_cluster_name_availability", self._name),
            web.post(CAAS + "/deploy", self._deploy),
            web.get(CAAS + "/deployments", self._list),
            web.get(one, self._details),
            web.delete(one, self._destroy),
            web.post(one + "/extend", self._extend),
            web.get(one + "/containers", self._containers),
        ]

    def error(self, status: int, message: str, code: str) -> object:
        """Return one of the three forms that errors have there."""
        if status == 422:
            loc = ["query" if code.startswith("?") else "body", code.lstrip("?")]
            return {"detail": [{"loc": loc, "msg": message, "type": "value_error"}]}
        if status in {401, 403}:
            return {"detail": message}
        return {"status": "failed", "error": message}

    async def authenticate(self, request: web.Request) -> None:
        """Know a caller by `x-api-key`; what is there and costs how much is told to anyone."""
        if request.path in {CAAS + "/hardware", CAAS + "/price"}:
            return
        self.check_key(request, "Invalid API key")

    @property
    def alive(self) -> list[Deployment]:
        """What is rented and not over."""
        return [each for each in self.deployments.values() if each.status not in OVER]

    def rented(self) -> dict[str, str]:
        """Return the names of what is not over by their ids."""
        return {each.id: each.name for each in self.alive}

    async def charged(self) -> Decimal:
        """Return what was paid for hours."""
        await self._pass_time()
        return self.spent

    async def lose(self, ident: str) -> None:
        """Let a deployment's machines be gone, as those of a provider who left."""
        for each in self.deployments[ident].containers:
            await self.machines.stop(each)

    async def _list_hardware(self, request: web.Request) -> web.StreamResponse:
        listed = [
            {
                "hardware_id": each.id,
                "hardware_name": each.name,
                "brand_name": "NVIDIA",
                "location": LOCATIONS[location][1],
                "price": float(each.price),
                "available": left,
                "network": left,
                "max_gpus_per_container": each.gpus,
                "min_gpus_per_container": None,
                "confidential_compute": False,
            }
            for each in self.hardware.values()
            for location, left in each.replicas.items()
        ]
        return json_response({"data": listed})

    async def _max_gpus(self, request: web.Request) -> web.StreamResponse:
        listed = [
            {
                "max_gpus_per_container": each.gpus,
                "available": sum(each.replicas.values()),
                "hardware_id": each.id,
                "hardware_name": each.name,
                "brand_name": "NVIDIA",
            }
            for each in self.hardware.values()
        ]
        total = sum(sum(each.replicas.values()) for each in self.hardware.values())
        return json_response({"data": {"hardware": listed, "total": total}})

    async def _replicas(self, request: web.Request) -> web.StreamResponse:
        hardware = self._known(number(request.query, "hardware_id"))
        quantity = number(request.query, "hardware_qty")
        listed = [
            {
                "id": location,
                "iso2": LOCATIONS[location][0],
                "name": LOCATIONS[location][1],
                "available_replicas": left if quantity <= hardware.gpus else 0,
            }
            for location, left in hardware.replicas.items()
        ]
        return json_response({"data": listed})

    async def _price(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        hardware = self._known(number(query, "hardware_id"))
        hours, gpus = number(query, "duration_hours"), number(query, "gpus_per_container")
        replicas = number(query, "replica_count")
        try:
            locations = msgspec.json.decode(query.get("location_ids", ""), type=list[int])
        except msgspec.DecodeError:
            invalid("?location_ids", "Input should be a valid list")
        known = [hardware.replicas.get(each, 0) for each in locations]
        total = _total(hardware, gpus * replicas, hours)
        body = {
            "replica_count": replicas,
            "gpus_per_container": gpus,
            "available_replica_count": known,
            "discount": 0,
            "ionet_fee": float(total * FEE / (1 + FEE)),
            "ionet_fee_percent": float(FEE * 100),
            "currency_conversion_fee": 0,
            "currency_conversion_fee_percent": 0,
            "total_cost_usdc": float(total),
        }
        return json_response({"data": body})

    async def _name(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("cluster_name", "")
        return json_response(wanted not in {each.name for each in self.alive})

    async def _deploy(self, request: web.Request) -> web.StreamResponse:
        asked = await read(request, Deploy)
        try:
            hardware = self._known(int(asked.hardware_id))
        except ValueError:
            invalid("hardware_id", "Unknown hardware")
        if asked.node_pool_id is not None or not asked.location_ids or len(asked.location_ids) > 1:
            invalid("location_ids", "Exactly one location is supported")
        if asked.gpus_per_container > hardware.gpus:
            invalid("gpus_per_container", f"at most {hardware.gpus}")
        location, replicas = asked.location_ids[0], asked.container_config.replica_count
        if hardware.replicas.get(location, 0) < replicas:
            raise ApiError(400, "Not enough available replicas in the chosen location")
        gpus = asked.gpus_per_container * replicas
        paid = _total(hardware, gpus, asked.duration_hours)
        self._pay(paid)
        hardware.replicas[location] -= replicas
        made = Deployment(
            id=str(uuid.uuid4()),
            name=asked.resource_private_name,
            hardware=hardware,
            location=location,
            gpus=gpus,
            hours=asked.duration_hours,
            paid=paid,
            asked=asked,
            created=self.now,
        )
        self.deployments[made.id] = made
        return json_response({"status": "success", "deployment_id": made.id})

    async def _list(self, request: web.Request) -> web.StreamResponse:
        await self._pass_time()
        page = max(1, number(request.query, "page", 1))
        size = number(request.query, "page_size", 10)
        status = request.query.get("status")
        if size > MAX_PAGE:
            invalid("?page_size", f"Input should be less than or equal to {MAX_PAGE}")
        if status is not None and status not in STATUSES:
            invalid("?status", "Input should be a known status")
        found = [e for e in self.deployments.values() if status in {None, e.status}]
        found.sort(key=lambda each: each.created, reverse=True)
        listed = [self._summary(each) for each in found[(page - 1) * size : page * size]]
        statuses = sorted({each.status for each in self.deployments.values()})
        body = {"deployments": listed, "total": len(found), "statuses": statuses}
        return json_response({"data": body})

    async def _details(self, request: web.Request) -> web.StreamResponse:
        return json_response({"data": self._shown(await self._look(request))})

    async def _containers(self, request: web.Request) -> web.StreamResponse:
        found = await self._look(request)
        workers: list[dict[str, object]] = [
            {
                "container_id": each,
                "device_id": f"device-{each[:8]}",
                "hardware": found.hardware.name,
                "brand_name": "NVIDIA",
                "created_at": _stamp(found.created),
                "uptime_percent": 100,
                "gpus_per_container": found.asked.gpus_per_container,
                "status": found.status,
                "public_url": (
                    self.machines[each].url
                    if each in self.machines and found.looks > 2 * self.patience
                    else None
                ),
                "container_events": [],
            }
            for each in found.containers
        ]
        return json_response({"data": {"total": len(workers), "workers": workers}})

    async def _extend(self, request: web.Request) -> web.StreamResponse:
        asked = await read(request, Extend)
        found = await self._look(request)
        if found.status != "running":
            raise ApiError(400, f"A deployment that is {found.status} can't be extended")
        paid = _total(found.hardware, found.gpus, asked.duration_hours)
        self._pay(paid)
        found.hours += asked.duration_hours
        found.paid += paid
        return json_response({"data": self._shown(found)})

    async def _destroy(self, request: web.Request) -> web.StreamResponse:
        found = await self._look(request)
        if found.status in OVER:
            raise ApiError(400, f"The deployment is {found.status}")
        found.status, found.looks = "termination requested", 0
        return json_response({"status": "success", "deployment_id": found.id})

    async def _look(self, request: web.Request) -> Deployment:
        """Find the deployment of a call and let it come on by a step."""
        await self._pass_time()
        found = self.deployments.get(request.match_info["id"])
        if found is None:
            raise ApiError(404, "Deployment not found")
        found.looks += 1
        if found.status == "deployment requested" and found.looks > self.patience:
            found.status, found.started = "running", self.now
            config = found.asked.container_config
            name = served_name(config.args or (), config.env_variables)
            key = next(iter(config.secret_env_variables.values()), None)
            for _ in range(config.replica_count):
                found.containers.append(uuid.uuid4().hex)
                await self.machines.start(found.containers[-1], name, key)
        elif found.status == "termination requested" and found.looks > self.patience:
            await self._end(found, "destroyed")
        return found

    async def _pass_time(self) -> None:
        for each in self.deployments.values():
            if each.status == "running" and self._minutes(each)[1] == 0:
                await self._end(each, "completed")

    async def _end(self, found: Deployment, status: str) -> None:
        found.status = status
        found.hardware.replicas[found.location] += found.asked.container_config.replica_count
        for each in found.containers:
            await self.machines.stop(each)

    def _minutes(self, found: Deployment) -> tuple[int, int]:
        """Return the minutes that a deployment ran, and those that are paid for and left."""
        whole = found.hours * 60
        since = self.now if found.started is None else found.started
        served = min(whole, math.floor((self.now - since) / 60))
        return served, whole - served

    def _summary(self, found: Deployment) -> dict[str, Any]:
        served, left = self._minutes(found)
        return {
            "id": found.id,
            "status": found.status,
            "name": found.name,
            "completed_percent": 100 * served / (served + left),
            "hardware_quantity": found.gpus,
            "brand_name": "NVIDIA",
            "hardware_name": found.hardware.name,
            "compute_minutes_served": served,
            "compute_minutes_remaining": left,
            "created_at": _stamp(found.created),
        }

    def _shown(self, found: Deployment) -> dict[str, Any]:
        """Return the details, which lack the name and the values of secrets."""
        summary = self._summary(found)
        del summary["name"], summary["hardware_quantity"]
        config, iso2 = found.asked.container_config, LOCATIONS[found.location]
        return {
            **summary,
            "started_at": None if found.started is None else _stamp(found.started),
            "finished_at": None,
            "amount_paid": float(found.paid),
            "total_gpus": found.gpus,
            "gpus_per_container": found.asked.gpus_per_container,
            "total_containers": config.replica_count,
            "hardware_id": found.hardware.id,
            "locations": [{"id": found.location, "iso2": iso2[0], "name": iso2[1]}],
            "container_config": {
                "image_url": found.asked.registry_config.image_url,
                "traffic_port": config.traffic_port,
                "env_variables": config.env_variables,
                "secret_env_keys": sorted(config.secret_env_variables),
                "entrypoint": config.entrypoint,
                "args": config.args,
                "command": config.command,
                "replica_count": config.replica_count,
            },
        }

    def _known(self, ident: int) -> Hardware:
        try:
            return self.hardware[ident]
        except KeyError:
            raise ApiError(404, "Hardware not found") from None

    def _pay(self, amount: Decimal) -> None:
        if amount > self.credit:
            raise ApiError(402, "Insufficient IO credits")
        self.credit -= amount
        self.spent += amount


def _total(hardware: Hardware, gpus: int, hours: int) -> Decimal:
    return (hardware.price * gpus * hours * (1 + FEE)).quantize(Decimal("0.0001"))


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
