"""What a deployment on Akash tells of itself: its lease, its server, its price, its money."""

import time
from decimal import Decimal

from vagus.compute.leases import akash_money as money
from vagus.compute.leases.akash_sdl import SERVICE
from vagus.compute.leases.akash_wire import ChainLease, Deployment, Service
from vagus.compute.leases.base import Lease
from vagus.protocol import Refuse

__all__ = ["active", "address_of", "age", "as_lease", "funds", "hourly_of", "service_of"]


def active(found: Deployment) -> ChainLease | None:
    """Return the lease that runs, if one does."""
    return next((lease for lease in found.leases if lease.state == "active"), None)


def service_of(lease: ChainLease) -> Service | None:
    """Return what the provider says of the container, None where it says nothing of it."""
    return None if lease.status is None else (lease.status.services or {}).get(SERVICE)


def address_of(lease: ChainLease) -> str | None:
    """Return the container's host, with a port where its provider forwards one; None while it has none.

    What is exposed as port 80, as here, is given a name; a provider without such names forwards a port.
    """
    service = service_of(lease)
    if lease.status is None or service is None:
        return None
    if service.uris:
        return service.uris[0]
    ports = (lease.status.forwarded_ports or {}).get(SERVICE)
    return f"{ports[0].host}:{ports[0].externalPort}" if ports else None


def hourly_of(lease: ChainLease) -> Decimal:
    """Return what a lease costs, USD per hour. Raises Refuse for one that is paid in another coin."""
    hourly = money.dollars_per_hour(lease.price.amount, lease.price.denom)
    if hourly is None:
        raise Refuse(f"the lease of {lease.id.dseq} is paid in {lease.price.denom[:32]!r}")
    return hourly


def funds(found: Deployment) -> Decimal:
    """Return what is left in the escrow, USD."""
    coins = found.escrow_account.state.funds
    return sum((money.usd(coin.amount, coin.denom) for coin in coins), Decimal(0))


def as_lease(found: Deployment, label: str) -> Lease:
    """Return a deployment as a lease: it ends when its escrow is empty."""
    running = active(found)
    hourly = None
    if running is not None:
        hourly = money.dollars_per_hour(running.price.amount, running.price.denom)
    ends = None
    if hourly:
        ends = time.time() + float(funds(found) / hourly) * 3600
    return Lease(found.deployment.id.dseq, label, hourly, ends)


def age(dseq: str) -> float:
    """Return how long ago a deployment was made: Console numbers them by its clock, in ms."""
    return time.time() - int(dseq) / 1000
