"""Akash's Console API, call by call: what a deployment is, all that there are, and which bears what label."""

import pathlib
from decimal import Decimal
from typing import TypeVar

import msgspec

from vagus.compute.leases import akash_money as money
from vagus.compute.leases.akash_wire import (
    Deployment,
    Deployments,
    Found,
    Full,
    Setting,
    Wallet,
)
from vagus.compute.leases.api import ApiRefused
from vagus.compute.leases.keyed import KeyedProvisioner
from vagus.protocol import Retry

__all__ = ["BASE_URL", "BIDDING", "AkashConsole"]

T = TypeVar("T")

BASE_URL = "https://console-api.akash.network"
TIMEOUT = 90.0
# Seconds until a call that came too early may come again.
BIDDING = 3.0
PAGE = 200
PAGES = 50
# What the API's own database says for a name that it does not keep.
UNKNOWN = "unknown_value"


class AkashConsole(KeyedProvisioner):
    """One Console account, as it is asked; what to rent there is for the subclass."""

    network = "akash"
    title = "Akash"

    def __init__(self, api_key_file: pathlib.Path, *, base_url: str, path: str) -> None:
        super().__init__(api_key_file, base_url=base_url, path=path, timeout=TIMEOUT)
        # What would only be asked again: labels never change.
        self._labels: dict[str, str] = {}

    async def credit(self) -> Decimal | None:
        """Return what the account may still put into escrows."""
        balance = (await self._call("GET", "/v1/balances", Wallet)).data.balance
        return money.usd(str(balance), money.DENOM)

    async def _no_top_up(self, dseq: str) -> None:
        body = {"data": {"autoTopUpEnabled": False}}
        path = f"/v2/deployment-settings/{dseq}"
        if (await self._call("PATCH", path, Setting, body=body)).data.autoTopUpEnabled:
            raise Retry(f"Akash goes on refilling the escrow of {dseq}")

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
        sent = None if body is None else msgspec.json.encode(body)
        try:
            return await self._api.call(
                method, path, answer, query=query, body=sent, headers={"x-api-key": self._key}
            )
        except ApiRefused as error:
            if error.status == 402 and b"balance_top_up_pending" in error.body:
                raise Retry(error.reason, 30.0) from None
            raise
