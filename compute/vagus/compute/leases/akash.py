"""Akash by its Console API: a deployment is put out to bid, a provider's bid is taken, a lease runs.

Source: akash.network/docs, "Console API", the API's OpenAPI document and its source
(akash-network/console, 2026-08). No call was made to the real API. What follows from it:

- A lease costs what the escrow pays out per block, and ends when that is empty. Console refills escrows
  from the account by itself, for ever, unless it is told not to for each deployment: that is the first
  thing said to a new one, before anything can cost. Then its escrow is filled for the hours that are
  wanted, and no lease that is forgotten can take more.
- The call that fills an escrow is said to be removed one day. Without it a lease lasts as long as the
  first deposit does, and can't be renewed.
- There are no keys for idempotency. The label is the placement's name, which the chain keeps.
"""

import pathlib
import time
from collections.abc import Collection
from decimal import ROUND_CEILING, Decimal
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from vagus.compute.backends.http import read_key
from vagus.compute.client import Endpoint
from vagus.compute.leases import akash_money as money
from vagus.compute.leases.akash_sdl import SERVICE, sdl
from vagus.compute.leases.akash_wire import (
    Bid,
    Bids,
    ChainLease,
    Created,
    Deployment,
    Deployments,
    Done,
    Found,
    Full,
    Gpu,
    Market,
    Service,
    Setting,
    Wallet,
)
from vagus.compute.leases.api import Api, ApiRefused
from vagus.compute.leases.base import Lease, Provisioner, Quote, Want
from vagus.compute.leases.checks import check_address, matches, reach_of
from vagus.protocol import Refuse, Retry

__all__ = ["AkashProvisioner"]

T = TypeVar("T")

BASE_URL = "https://console-api.akash.network"
# Seconds: bids come within a minute and lapse after some; a provider that has not taken the manifest
# by then won't.
PATIENCE = 600.0
BIDDING = 3.0
PAGE = 200
PAGES = 50
# The chain's least deposit, in USD; below this much nothing is added.
LEAST = Decimal("0.5")
CENT = Decimal("0.01")
MOST = Decimal(10_000)
# What the API's own database says for a name that it does not keep.
UNKNOWN = "unknown_value"
# Bids above the market's highest price by a quarter: processor and memory are not in it.
ABOVE = Decimal("1.25")


class AkashProvisioner(Provisioner):
    """One Console account. providers: addresses that may be taken, none for all but `avoid`.

    auditors: addresses one of whom must have signed for a provider. scheme: of the servers' URLs. path:
    where a container's API begins.
    """

    network = "akash"

    def __init__(
        self,
        api_key_file: pathlib.Path,
        *,
        base_url: str = BASE_URL,
        providers: Collection[str] = (),
        avoid: Collection[str] = (),
        auditors: Collection[str] = (),
        scheme: str = "http",
        path: str = "/v1",
    ) -> None:
        self._key_file = api_key_file
        self._base_url = base_url
        self._providers = frozenset(providers)
        self._avoid = frozenset(avoid)
        self._auditors = tuple(auditors)
        self._scheme = scheme
        self._path = path
        self._api: Api | None = None
        self._headers: dict[str, str] = {}
        # What would only be asked again: labels never change, a manifest follows from its SDL.
        self._labels: dict[str, str] = {}
        self._manifests: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        key = read_key(self._key_file)
        self._headers = {"x-api-key": key}
        self._api = await Api(self._base_url, secrets=(key,), timeout=90).__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        api, self._api = self._api, None
        if api is not None:
            await api.__aexit__(kind, error, trace)

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return the kinds of GPU on the market that will do, by their median price.

        What a machine really costs is a provider's bid; `lease` takes none over the quote.
        """
        found: dict[str, tuple[Decimal, Quote]] = {}
        for raw in (await self._call("GET", "/v1/gpu-prices", Market)).models:
            try:
                gpu = msgspec.json.decode(raw, type=Gpu)
            except msgspec.ValidationError:
                continue  # one that can't be asked for
            price, offer = gpu.price, f"{gpu.model}/{gpu.ram}"
            if (
                price is None
                or price.currency != "USD"
                or gpu.vendor != "nvidia"
                or gpu.availability.available < want.count
                or int(gpu.ram[:-2]) < want.vram
                or not (matches(want.gpus, gpu.model) or matches(want.gpus, offer))
                or not all(each.is_finite() for each in (price.min, price.max, price.med))
                or not 0 < price.min <= price.max <= MOST
                or price.min * want.count > want.max_hourly
            ):
                continue
            most = min(want.max_hourly, price.max * want.count * ABOVE)
            if offer not in found or price.med < found[offer][0]:
                region = want.regions[0] if len(want.regions) == 1 else "unknown"
                found[offer] = (price.med, Quote(want, offer, gpu.model, most, region))
        return tuple(quote for _, quote in sorted(found.values(), key=lambda each: each[0]))

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Bring a deployment to a lease with a manifest and a filled escrow, from wherever it is."""
        if len(quote.want.regions) > 1:
            raise Refuse("Akash takes one region or none")
        dseq = await self._find(label) or await self._create(quote, label, api_key)
        # Before there is a lease, and again at each try: an escrow that refills is a leak without end.
        await self._no_top_up(dseq)
        found = await self._look(dseq)
        if found is None or found.deployment.state != "active":
            raise Refuse(f"the deployment {dseq} is closed")
        lease = _active(found)
        if lease is None or _service(lease) is None:
            if _age(dseq) > PATIENCE:
                raise Refuse(f"no provider took the deployment {dseq} in time")
            await self._take(dseq, lease, quote)
            found = await self._look(dseq)
            lease = None if found is None else _active(found)
        if found is None or lease is None:
            raise Retry(f"the lease of {dseq} is not to be seen yet", BIDDING)
        hourly = _hourly(lease)
        if hourly > quote.hourly:
            raise Refuse(f"the lease of {dseq} costs {hourly} USD an hour, not as quoted")
        return await self._fill(found, lease, label, time.time() + 3600 * quote.want.hours)

    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return the address that the provider gave the container."""
        found = await self._look(lease.id)
        running = None if found is None else _active(found)
        if found is None or found.deployment.state != "active" or running is None:
            raise Refuse(f"the deployment {lease.id} is closed, or its lease")
        service = _service(running)
        if service is None or not service.uris:
            return None
        url = check_address(f"{self._scheme}://{service.uris[0]}") + self._path
        return Endpoint(url, reach=reach_of(self._base_url))

    async def renew(self, lease: Lease, ends: float) -> Lease:
        """Put what is missing until then into the escrow."""
        found = await self._look(lease.id)
        running = None if found is None else _active(found)
        if found is None or running is None:
            raise Refuse(f"the deployment {lease.id} is closed: it can't be renewed")
        if lease.hourly is not None and _hourly(running) > lease.hourly:
            raise Refuse(f"the lease of {lease.id} is said to cost more than it did")
        renewed = await self._fill(found, running, lease.label, ends)
        if renewed.ends is None or renewed.ends < ends - 60:
            raise Refuse(f"the escrow of {lease.id} can't be filled any more")
        return renewed

    async def release(self, lease: Lease) -> None:
        """Close the deployment; what is left in its escrow comes back."""
        try:
            done = await self._call("DELETE", f"/v1/deployments/{lease.id}", Done)
        except ApiRefused as error:
            if error.status == 404:
                return
            if error.status in {401, 403}:
                raise
            # "Deployment closed", or an escrow that can't be settled yet: the state tells which.
            found = await self._look(lease.id)
            if found is not None and found.deployment.state == "active":
                raise Retry(error.reason, BIDDING) from None
            return
        if not done.data.success:
            raise Retry(f"Akash did not close the deployment {lease.id}", BIDDING)

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        """Return the account's active deployments whose placement is named so."""
        leases = []
        for found in await self._deployments():
            dseq = found.deployment.id.dseq
            label = await self._label(found.deployment.id.owner, dseq)
            if label.startswith(prefix):
                leases.append(_as_lease(found, label))
        return tuple(leases)

    async def credit(self) -> Decimal | None:
        """Return what the account may still put into escrows."""
        balance = (await self._call("GET", "/v1/balances", Wallet)).data.balance
        return money.usd(str(balance), money.DENOM)

    async def _find(self, label: str) -> str | None:
        """Return the number of the deployment under a label, the one with a lease before others."""
        known = [dseq for dseq, each in self._labels.items() if each == label]
        if known:
            return known[0]
        there = [lease for lease in await self.owned(label) if lease.label == label]
        there.sort(key=lambda lease: (lease.hourly is None, int(lease.id)))
        return there[0].id if there else None

    async def _create(self, quote: Quote, label: str, api_key: str) -> str:
        need = quote.hourly * Decimal(quote.want.hours)
        # Console decides the deposit by itself since 2026; before, it was wanted here.
        body = {
            "data": {
                "sdl": sdl(quote, label, api_key, self._auditors),
                "deposit": float(max(LEAST, need.quantize(CENT, ROUND_CEILING))),
            }
        }
        try:
            created = (await self._call("POST", "/v1/deployments", Created, body=body)).data
        except Retry as error:
            # It may have been made all the same: the next call finds it, once it is listed.
            raise Retry(error.reason, max(error.after, self.settles)) from None
        self._labels[created.dseq] = label
        self._manifests[created.dseq] = created.manifest
        return created.dseq

    async def _no_top_up(self, dseq: str) -> None:
        body = {"data": {"autoTopUpEnabled": False}}
        path = f"/v2/deployment-settings/{dseq}"
        if (await self._call("PATCH", path, Setting, body=body)).data.autoTopUpEnabled:
            raise Retry(f"Akash goes on refilling the escrow of {dseq}")

    async def _take(self, dseq: str, lease: ChainLease | None, quote: Quote) -> None:
        """Take the cheapest bid that will do, or hand the lease that there is its manifest again."""
        if lease is None:
            bids = (await self._call("GET", "/v1/bids", Bids, query={"dseq": dseq})).data
            will_do = [bid for each in bids if self._will_do(bid := each.bid, dseq, quote)]
            if not will_do:
                raise Retry(f"{len(bids)} bids for {dseq}, and none that will do", BIDDING)
            taken = min(will_do, key=lambda bid: (_price(bid), bid.id.provider)).id
        else:
            taken = lease.id
        asked: dict[str, object] = {"leases": [msgspec.to_builtins(taken)]}
        if dseq in self._manifests:
            asked["manifest"] = self._manifests[dseq]
        try:
            await self._call("POST", "/v1/leases", msgspec.Raw, body=asked)
        except ApiRefused as error:
            if error.status == 400:  # the bid is not open any more: another may be
                raise Retry(error.reason, BIDDING) from None
            raise

    def _will_do(self, bid: Bid, dseq: str, quote: Quote) -> bool:
        hourly = money.dollars_per_hour(bid.price.amount, bid.price.denom)
        return (
            bid.state == "open"
            and bid.id.dseq == dseq
            and hourly is not None
            and hourly <= quote.hourly
            and (not self._providers or bid.id.provider in self._providers)
            and bid.id.provider not in self._avoid
        )

    async def _fill(self, found: Deployment, lease: ChainLease, label: str, ends: float) -> Lease:
        """See that the escrow pays until then, and return the lease as it is."""
        now, dseq = time.time(), lease.id.dseq
        need = _hourly(lease) * Decimal(max(0.0, ends - now)) / 3600
        missing = (need - _funds(found)).quantize(CENT, ROUND_CEILING)
        if missing >= CENT:
            body = {"data": {"dseq": dseq, "deposit": float(missing)}}
            try:
                found = (await self._call("POST", "/v1/deposit-deployment", Found, body=body)).data
            except ApiRefused as error:
                if error.status not in {404, 405, 410, 501}:
                    raise
                # The call is gone, as was announced: it lasts as long as it lasts.
            except Retry as error:
                # It may have been done all the same, and shows in the escrow some blocks later.
                raise Retry(error.reason, max(error.after, self.settles)) from None
        return _as_lease(found, label)

    async def _look(self, dseq: str) -> Deployment | None:
        try:
            found = (await self._call("GET", f"/v1/deployments/{dseq}", Found)).data
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        if found.deployment.id.dseq != dseq:
            raise Retry(f"Akash answered for the deployment {dseq} with another one")
        return found

    async def _deployments(self) -> list[Deployment]:
        found: dict[str, Deployment] = {}
        total = 0
        for page in range(PAGES):
            query = {"skip": str(page * PAGE), "limit": str(PAGE)}
            listed = (await self._call("GET", "/v1/deployments", Deployments, query=query)).data
            found |= {each.deployment.id.dseq: each for each in listed.deployments}
            total = listed.pagination.total
            # The total may be left out, as 0: only a page that is not full is the last one.
            if len(listed.deployments) < PAGE:
                break
        else:
            raise Retry(f"Akash lists over {PAGES * PAGE} deployments", self.settles)
        if len(found) < total:
            raise Retry(f"Akash lists {len(found)} of {total} deployments")
        return list(found.values())

    async def _label(self, owner: str, dseq: str) -> str:
        """Return the name of a deployment's placement, which never changes."""
        if dseq not in self._labels:
            if not (owner.isascii() and owner.isalnum()):
                raise Retry("Akash named an owner that is none")
            try:
                full = await self._call("GET", f"/v1/deployment/{owner}/{dseq}", Full)
            except ApiRefused as error:
                if error.status == 404:  # it is listed, and not yet in the API's database
                    raise Retry(f"Akash does not yet tell what {dseq} is", BIDDING) from None
                raise
            names = [group.group_spec.name for group in full.other.groups]
            if not names or UNKNOWN in names:
                raise Retry(f"Akash does not tell what {dseq} is", self.settles)
            self._labels[dseq] = names[0]
        return self._labels[dseq]

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: dict[str, str] | None = None,
        body: object = None,
    ) -> T:
        if self._api is None:
            raise Retry("the connection to Akash is closed")
        sent = None if body is None else msgspec.json.encode(body)
        try:
            return await self._api.call(
                method, path, answer, query=query, body=sent, headers=self._headers
            )
        except ApiRefused as error:
            if error.status == 402 and b"balance_top_up_pending" in error.body:
                raise Retry(error.reason, 30.0) from None
            raise


def _active(found: Deployment) -> ChainLease | None:
    return next((lease for lease in found.leases if lease.state == "active"), None)


def _service(lease: ChainLease) -> Service | None:
    """Return what the provider says of the container, None where it says nothing of it."""
    return None if lease.status is None else (lease.status.services or {}).get(SERVICE)


def _price(bid: Bid) -> Decimal:
    return money.dollars_per_hour(bid.price.amount, bid.price.denom) or Decimal(0)


def _hourly(lease: ChainLease) -> Decimal:
    hourly = money.dollars_per_hour(lease.price.amount, lease.price.denom)
    if hourly is None:
        raise Refuse(f"the lease of {lease.id.dseq} is paid in {lease.price.denom[:32]!r}")
    return hourly


def _funds(found: Deployment) -> Decimal:
    coins = found.escrow_account.state.funds
    return sum((money.usd(coin.amount, coin.denom) for coin in coins), Decimal(0))


def _as_lease(found: Deployment, label: str) -> Lease:
    """Return a deployment as a lease: it ends when its escrow is empty."""
    running = _active(found)
    hourly = None
    if running is not None:
        hourly = money.dollars_per_hour(running.price.amount, running.price.denom)
    ends = None
    if hourly:
        ends = time.time() + float(_funds(found) / hourly) * 3600
    return Lease(found.deployment.id.dseq, label, hourly, ends)


def _age(dseq: str) -> float:
    """Return how long ago a deployment was made: Console numbers them by its clock, in ms."""
    return time.time() - int(dseq) / 1000
