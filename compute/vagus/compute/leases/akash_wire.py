"""What Akash's Console API answers, as far as it is read.

Source: the API's OpenAPI document and its source in akash-network/console (2026-08). Everything here was
written by strangers: lengths and forms are checked as it is decoded.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

__all__ = [
    "Bids",
    "Created",
    "Deployment",
    "Deployments",
    "Done",
    "Found",
    "Full",
    "Market",
    "Service",
    "Setting",
    "Wallet",
]

Dseq = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]
Word = Annotated[str, msgspec.Meta(max_length=256)]
Amount = Annotated[str, msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class Coin(msgspec.Struct):
    """An amount as the chain writes it."""

    denom: Word
    amount: Amount


class DeploymentId(msgspec.Struct):
    """A deployment's name: its owner's address and a number."""

    owner: Word
    dseq: Dseq


class _Head(msgspec.Struct):
    id: DeploymentId
    state: Word


class LeaseId(msgspec.Struct):
    """A lease's or a bid's name."""

    dseq: Dseq
    gseq: Count
    oseq: Count
    provider: Word


class Service(msgspec.Struct):
    """A container and the addresses that its provider gave it."""

    uris: list[Word] | None = None


class Forwarded(msgspec.Struct):
    """A container's port as its provider has it."""

    host: Word
    externalPort: int  # noqa: N815 - the API's name


class Status(msgspec.Struct):
    """What a provider says of a lease."""

    services: dict[str, Service] | None = None
    forwarded_ports: dict[str, list[Forwarded] | None] | None = None


class ChainLease(msgspec.Struct):
    """A lease; `status` is null while its provider does not answer."""

    id: LeaseId
    state: Word
    price: Coin
    status: Status | None = None


class _Account(msgspec.Struct):
    funds: list[Coin] = []


class _Escrow(msgspec.Struct):
    state: _Account


class Deployment(msgspec.Struct):
    """A deployment with its leases and what is left of its escrow."""

    deployment: _Head
    leases: list[ChainLease]
    escrow_account: _Escrow


class Found(msgspec.Struct):
    """One deployment."""

    data: Deployment


class _Pages(msgspec.Struct):
    total: Count


class _Listed(msgspec.Struct):
    deployments: list[Deployment]
    pagination: _Pages


class Deployments(msgspec.Struct):
    """A page of the account's active deployments."""

    data: _Listed


class _Spec(msgspec.Struct):
    name: Word


class _Group(msgspec.Struct):
    group_spec: _Spec


class _Other(msgspec.Struct):
    groups: list[_Group]


class Full(msgspec.Struct):
    """A deployment as the chain has it: its groups bear the placements' names."""

    other: _Other


class _New(msgspec.Struct):
    dseq: Dseq
    manifest: Annotated[str, msgspec.Meta(max_length=1 << 18)] = ""


class Created(msgspec.Struct):
    """A deployment that was made."""

    data: _New


class Bid(msgspec.Struct):
    """A provider's offer; only one that is `open` can be taken."""

    id: LeaseId
    state: Word
    price: Coin


class _BidOf(msgspec.Struct):
    bid: Bid


class Bids(msgspec.Struct):
    """The bids for a deployment."""

    data: list[_BidOf]


class _TopUp(msgspec.Struct):
    autoTopUpEnabled: bool  # noqa: N815 - the API's own name


class Setting(msgspec.Struct):
    """Whether a deployment's escrow is refilled from the account."""

    data: _TopUp


class _Success(msgspec.Struct):
    success: bool


class Done(msgspec.Struct):
    """Whether a deployment was closed."""

    data: _Success


class _Available(msgspec.Struct):
    available: float = 0


class _Price(msgspec.Struct):
    currency: Word
    min: Decimal
    max: Decimal
    med: Decimal


class Gpu(msgspec.Struct):
    """A kind of GPU on the market: USD per hour for one of them."""

    vendor: Word
    model: Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z._-]{1,64}$")]
    ram: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,4}Gi$")]
    availability: _Available
    price: _Price | None = None


class Market(msgspec.Struct):
    """The GPUs that providers have; those that are named oddly are left out where it is read."""

    models: list[msgspec.Raw]


class _Balance(msgspec.Struct):
    balance: float


class Wallet(msgspec.Struct):
    """What the account may still put into escrows, in the chain's smallest unit."""

    data: _Balance
