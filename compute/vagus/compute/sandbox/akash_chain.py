"""Akash in the sandbox: what is on its chain and its market, and how the Console API shows that.

An SDL is taken as JSON alone, which YAML contains.
"""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from vagus.compute.sandbox.base import ApiError

__all__ = [
    "BLOCK",
    "BLOCKS_PER_HOUR",
    "LEAST",
    "LOOK_AHEAD",
    "OWNER",
    "TARGET",
    "Deployment",
    "Provider",
    "bid",
    "full",
    "market",
    "parse_sdl",
    "setting",
    "shown",
    "status",
]

OWNER = "akash13265twfqejnma6cc93rw5dxk4cldyz2zyy8cdm"
DENOM = "uact"
BLOCK = 6.0
BLOCKS_PER_HOUR = Decimal(600)
LEAST = Decimal("0.5")
# Hours of an escrow's runway below which Console refills it, and up to which.
LOOK_AHEAD, TARGET = 24, 48


@dataclass
class Provider:
    """Someone who bids. hourly: USD for one GPU; gpus: `model/ram` of what it has, by number.

    forwards: whether it forwards ports instead of giving names.
    """

    address: str
    hourly: Decimal
    gpus: dict[str, int]
    auditors: tuple[str, ...] = ()
    online: bool = True
    denom: str = DENOM
    forwards: bool = False


@dataclass
class Deployment:
    """What was put out to bid. funds and paid in USD; top_up None: nothing was said about it."""

    dseq: str
    label: str
    gpu: str
    count: int
    most: Decimal
    auditors: tuple[str, ...]
    manifest: str
    service: dict[str, Any]
    funds: Decimal
    settled: float
    created: float
    paid: Decimal = Decimal(0)
    top_up: bool | None = None
    state: str = "active"
    provider: Provider | None = None
    reason: str = ""
    manifested: bool = False
    looks: int = 0
    indexed: int = 0
    bid_looks: int = 0
    refilled: Decimal = field(default=Decimal(0))

    @property
    def leased(self) -> bool:
        """Whether a lease of it runs."""
        return self.provider is not None and self.state == "active" and not self.reason

    @property
    def hourly(self) -> Decimal:
        """What its lease costs, USD per hour."""
        return Decimal(0) if self.provider is None else self.provider.hourly * self.count


def parse_sdl(text: str, now: float) -> Deployment:
    """Return what an SDL of one service describes. Raises ApiError."""
    try:
        document = json.loads(text)
        [(name, service)] = document["services"].items()
        [(label, placed)] = document["deployment"][name].items()
        placement = document["profiles"]["placement"][label]
        pricing = placement["pricing"][placed["profile"]]
        gpu = document["profiles"]["compute"][placed["profile"]]["resources"]["gpu"]
        [wanted] = gpu["attributes"]["vendor"]["nvidia"]
        model = f"{wanted['model']}/{wanted.get('ram', '')}"
        count, most = int(gpu["units"]), Decimal(str(pricing["amount"]))
        if document["version"] not in {"2.0", "2.1"} or pricing["denom"] not in {DENOM, "uakt"}:
            raise ValueError("the version or the denomination")
        if not service["image"] or not service["expose"][0]["to"][0]["global"]:
            raise ValueError("the service")
        auditors = tuple(placement.get("signedBy", {}).get("anyOf", ()))
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ApiError(400, f"Invalid SDL: {error}") from None
    group = [{"name": label, "services": [{"name": name, "image": service["image"]}]}]
    return Deployment(
        dseq="",
        label=label,
        gpu=model,
        count=count,
        most=most * BLOCKS_PER_HOUR / 1_000_000,
        auditors=auditors,
        manifest=json.dumps(group, sort_keys=True),
        service={**service, "name": name},
        funds=Decimal(0),
        settled=now,
        created=now,
    )


def market(providers: list[Provider]) -> dict[str, Any]:
    """Return the GPUs that there are, with what one costs an hour."""
    models: list[dict[str, Any]] = []
    for gpu in sorted({gpu for each in providers for gpu in each.gpus}):
        having = [each for each in providers if gpu in each.gpus]
        prices = sorted(float(each.hourly) for each in having)
        model, _, ram = gpu.partition("/")
        total = sum(each.gpus[gpu] for each in having)
        models.append(
            {
                "vendor": "nvidia",
                "model": model,
                "ram": ram,
                "interface": "PCIe",
                "availability": {"total": total, "available": total},
                "providerAvailability": {"total": len(having), "available": len(having)},
                "price": {
                    "currency": "USD",
                    "min": prices[0],
                    "max": prices[-1],
                    "avg": sum(prices) / len(prices),
                    "weightedAverage": sum(prices) / len(prices),
                    "med": prices[len(prices) // 2],
                },
            }
        )
    models.append(
        {
            "vendor": "nvidia",
            "model": "t4",
            "ram": "16Gi",
            "interface": "PCIe",
            "availability": {"total": 1, "available": 0},
            "providerAvailability": {"total": 1, "available": 0},
            "price": None,
        }
    )
    total = sum(each["availability"]["total"] for each in models)
    return {"availability": {"total": total, "available": total}, "models": models}


def bid(found: Deployment, provider: Provider, state: str) -> dict[str, Any]:
    """Return a provider's bid for a deployment."""
    taken = found.provider is provider
    names = {**_lease_id(found, provider), "owner": OWNER, "bseq": 0}
    return {
        "bid": {
            "id": names,
            "state": "active" if taken else state,
            "price": _per_block(provider.hourly * found.count, provider.denom),
            "created_at": str(int(found.created)),
            "resources_offer": [],
        },
        "escrow_account": {
            "id": {"scope": "bid", "xid": f"{OWNER}/{found.dseq}/1/1/{provider.address}"},
            "state": {"owner": provider.address, "state": "open", "funds": []},
        },
    }


def _lease_id(found: Deployment, provider: Provider) -> dict[str, Any]:
    return {"dseq": found.dseq, "gseq": 1, "oseq": 1, "provider": provider.address}


def shown(
    found: Deployment, status: dict[str, Any] | None = None, *, listed: bool = False
) -> dict[str, Any]:
    """Return a deployment as the API shows it; a list has no provider's status."""
    leases = []
    if found.provider is not None:
        lease: dict[str, Any] = {
            "id": {**_lease_id(found, found.provider), "owner": OWNER, "bseq": 0},
            "state": "active" if found.leased else "closed",
            "price": _per_block(found.hourly, found.provider.denom),
            "created_at": str(int(found.created)),
            "closed_on": "0" if found.leased else str(int(found.settled)),
            "reason": found.reason,
        }
        if not listed:
            lease["status"] = status
        leases.append(lease)
    version = hashlib.sha256(found.manifest.encode()).digest()
    return {
        "deployment": {
            "id": {"owner": OWNER, "dseq": found.dseq},
            "state": found.state,
            "hash": base64.b64encode(version).decode(),
            "created_at": str(int(found.created)),
        },
        "leases": leases,
        "escrow_account": {
            "id": {"scope": "deployment", "xid": f"{OWNER}/{found.dseq}"},
            "state": {
                "owner": OWNER,
                "state": "open" if found.state == "active" else "closed",
                "transferred": [_coin(found.paid)],
                "settled_at": str(int(found.settled)),
                "funds": [_coin(found.funds)],
                "deposits": [],
            },
        },
    }


def status(found: Deployment, up: bool, uri: str | None) -> dict[str, Any]:
    """Return what a provider says of the container that it runs, and where."""
    ready, uris = int(up), [] if uri is None else [uri]
    name = found.service["name"]
    service = {
        "name": name,
        "available": ready,
        "total": 1,
        "uris": uris,
        "observed_generation": 1,
        "replicas": 1,
        "updated_replicas": 1,
        "ready_replicas": ready,
        "available_replicas": ready,
    }
    ports: dict[str, Any] = {}
    if uri is not None and found.provider is not None and found.provider.forwards:
        host, _, port = uri.partition(":")
        inside = found.service["expose"][0]["port"]
        ports[name] = [{"host": host, "port": inside, "externalPort": int(port)}]
        service["uris"] = []
    return {"forwarded_ports": ports, "ips": {}, "services": {name: service}}


def full(found: Deployment) -> dict[str, Any]:
    """Return a deployment as the chain has it, its placement's name with it."""
    chain = shown(found, listed=True)
    group = {
        "id": {"owner": OWNER, "dseq": found.dseq, "gseq": 1},
        "state": "open" if found.state == "active" else "closed",
        "group_spec": {
            "name": found.label,
            "requirements": {
                "signed_by": {"all_of": [], "any_of": list(found.auditors)},
                "attributes": [],
            },
            "resources": [],
        },
        "created_at": str(int(found.created)),
    }
    return {
        "owner": OWNER,
        "dseq": found.dseq,
        "balance": float(found.funds * 1_000_000),
        "denom": DENOM,
        "status": found.state,
        "totalMonthlyCostUDenom": 0,
        "leases": [],
        "events": [],
        "other": {
            "deployment": chain["deployment"],
            "groups": [group],
            "escrow_account": chain["escrow_account"],
        },
    }


def setting(found: Deployment) -> dict[str, Any]:
    """Return whether a deployment's escrow is refilled."""
    made = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.created))
    return {
        "id": "7d3d9f3e-6f3d-4d7e-9d52-3f0f5d1f7a11",
        "userId": "5e0c2d1e-9f0b-4b55-8f7c-0b1f0f2d4c6a",
        "dseq": found.dseq,
        "autoTopUpEnabled": found.top_up is not False,
        "estimatedTopUpAmount": 0,
        "topUpFrequencyMs": LOOK_AHEAD * 3_600_000,
        "createdAt": made,
        "updatedAt": made,
    }


def _coin(usd: Decimal) -> dict[str, str]:
    return {"denom": DENOM, "amount": f"{usd * 1_000_000:.18f}"}


def _per_block(hourly: Decimal, denom: str) -> dict[str, str]:
    return {"denom": denom, "amount": f"{hourly * 1_000_000 / BLOCKS_PER_HOUR:.18f}"}
