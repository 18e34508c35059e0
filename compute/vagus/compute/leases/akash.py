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

import msgspec

from vagus.compute.client import Endpoint
from vagus.compute.leases import akash_money as money
from vagus.compute.leases.akash_console import BASE_URL, BIDDING, AkashConsole
from vagus.compute.leases.akash_market import cheapest, quotes
from vagus.compute.leases.akash_sdl import sdl
from vagus.compute.leases.akash_state import (
    active,
    address_of,
    age,
    as_lease,
    funds,
    hourly_of,
    service_of,
)
from vagus.compute.leases.akash_wire import (
    Bids,
    ChainLease,
    Created,
    Deployment,
    Done,
    Found,
    Market,
)
from vagus.compute.leases.api import ApiRefused
from vagus.compute.leases.base import Lease, Quote, Want
from vagus.protocol import Refuse, Retry

__all__ = ["BASE_URL", "AkashProvisioner"]

# Seconds: bids come within a minute and lapse after some; a provider that has not taken the manifest
# by then won't.
PATIENCE = 600.0
# Below this much, in USD, nothing is added.
CENT = Decimal("0.01")


class AkashProvisioner(AkashConsole):
    """One Console account. providers: addresses that may be taken, none for all but `avoid`.

    auditors: addresses one of whom must have signed for a provider. scheme: of the servers' URLs. path:
    where a container's API begins.
    """

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
        super().__init__(api_key_file, base_url=base_url, path=path)
        self._providers = frozenset(providers)
        self._avoid = frozenset(avoid)
        self._auditors = tuple(auditors)
        self._scheme = scheme
        # What would only be asked again: a manifest follows from its SDL.
        self._manifests: dict[str, str] = {}

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return the kinds of GPU on the market that will do, by their median price.

        What a machine really costs is a provider's bid; `lease` takes none over the quote.
        """
        return quotes(await self._call("GET", "/v1/gpu-prices", Market), want)

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Bring a deployment to a lease with a manifest and a filled escrow, from wherever it is."""
        self._hide(quote.want.container, api_key)
        if len(quote.want.regions) > 1:
            raise Refuse("Akash takes one region or none")
        dseq = await self._find(label) or await self._create(quote, label, api_key)
        # Before there is a lease, and again at each try: an escrow that refills is a leak without end.
        await self._no_top_up(dseq)
        found = await self._look(dseq)
        if found is None or found.deployment.state != "active":
            raise Refuse(f"the deployment {dseq} is closed")
        lease = active(found)
        if lease is None or service_of(lease) is None:
            if age(dseq) > PATIENCE:
                raise Refuse(f"no provider took the deployment {dseq} in time")
            await self._take(dseq, lease, quote)
            found = await self._look(dseq)
            lease = None if found is None else active(found)
        if found is None or lease is None:
            raise Retry(f"the lease of {dseq} is not to be seen yet", BIDDING)
        hourly = hourly_of(lease)
        if hourly > quote.hourly:
            raise Refuse(f"the lease of {dseq} costs {hourly} USD an hour, not as quoted")
        return await self._fill(found, lease, label, time.time() + 3600 * quote.want.hours)

    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return the address that the provider gave the container."""
        found = await self._look(lease.id)
        running = None if found is None else active(found)
        if found is None or found.deployment.state != "active" or running is None:
            raise Refuse(f"the deployment {lease.id} is closed, or its lease")
        address = address_of(running)
        return None if address is None else self._endpoint(f"{self._scheme}://{address}")

    async def renew(self, lease: Lease, ends: float) -> Lease:
        """Put what is missing until then into the escrow."""
        found = await self._look(lease.id)
        running = None if found is None else active(found)
        if found is None or running is None:
            raise Refuse(f"the deployment {lease.id} is closed: it can't be renewed")
        if lease.hourly is not None and hourly_of(running) > lease.hourly:
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
                leases.append(as_lease(found, label))
        return tuple(leases)

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
                "deposit": float(max(money.LEAST, need.quantize(CENT, ROUND_CEILING))),
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

    async def _take(self, dseq: str, lease: ChainLease | None, quote: Quote) -> None:
        """Take the cheapest bid that will do, or hand the lease that there is its manifest again."""
        if lease is None:
            bids = (await self._call("GET", "/v1/bids", Bids, query={"dseq": dseq})).data
            bid = cheapest(
                [each.bid for each in bids],
                dseq,
                quote,
                providers=self._providers,
                avoid=self._avoid,
            )
            if bid is None:
                raise Retry(f"{len(bids)} bids for {dseq}, and none that will do", BIDDING)
            taken = bid.id
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

    async def _fill(self, found: Deployment, lease: ChainLease, label: str, ends: float) -> Lease:
        """See that the escrow pays until then, and return the lease as it is."""
        now, dseq = time.time(), lease.id.dseq
        need = hourly_of(lease) * Decimal(max(0.0, ends - now)) / 3600
        missing = (need - funds(found)).quantize(CENT, ROUND_CEILING)
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
        return as_lease(found, label)
