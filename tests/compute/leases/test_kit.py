"""The kit for provisioners finds what it is there to find: each of these rents, serves and releases well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from support.leases import Clock, Network, network
from vagus.compute.leases.base import Lease, Quote
from vagus.compute.leases.conformance import ProvisionerConformance, Rental
from vagus.compute.leases.ionet import IonetProvisioner
from vagus.protocol import Retry

KIT = ProvisionerConformance()
LOST: dict[str, object] = {"status": 500, "after_work": True}
Case = Callable[[Rental, Clock, Path], Awaitable[None]]


class Forgetful(IonetProvisioner):
    """Rents without a look at what is under the label."""

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        known, self._deployments = self._deployments, _nothing  # type: ignore[method-assign]
        try:
            return await super().lease(quote, label, api_key)
        finally:
            self._deployments = known  # type: ignore[method-assign]


async def _nothing() -> tuple[()]:
    return ()


class Hopeful(IonetProvisioner):
    """Takes a list that can't be read for an empty one."""

    settles = 0.0

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        try:
            return await super().owned(prefix)
        except Retry:
            return ()


class Careless(IonetProvisioner):
    """Calls a machine ended that it could not end."""

    async def release(self, lease: Lease) -> None:
        try:
            await super().release(lease)
        except Retry:
            return


class Spendthrift(IonetProvisioner):
    """Buys an hour at each renewal, whatever is paid for already."""

    async def renew(self, lease: Lease, ends: float) -> Lease:
        details = await self._details(lease)
        assert details is not None
        last = details.ends()
        assert last is not None
        return await super().renew(lease, max(ends, last + 3600))


class Talkative(IonetProvisioner):
    """Shows its key."""

    def __repr__(self) -> str:
        return f"Talkative({self._key})"


def _failing(rental: Rental, clock: Clock, folder: Path) -> Awaitable[None]:
    return KIT.test_each_call_of_a_lease_may_fail_once(rental, clock, folder, LOST)


async def _dying(rental: Rental, clock: Clock, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        await KIT.test_a_node_killed_at_any_point_of_a_lease_leaves_nothing_behind(
            rental, folder, patch, "renewed"
        )


def _asking(rental: Rental, clock: Clock, folder: Path) -> Awaitable[None]:
    return KIT.test_what_is_asked_twice_is_one_machine_and_ends_once(rental, clock)


def _listing(rental: Rental, clock: Clock, folder: Path) -> Awaitable[None]:
    return KIT.test_an_answer_of_another_form_is_no_list(rental)


def _renewing(rental: Rental, clock: Clock, folder: Path) -> Awaitable[None]:
    return KIT.test_renewing_twice_buys_once(rental, clock)


def _saying(rental: Rental, clock: Clock, folder: Path) -> Awaitable[None]:
    return KIT.test_no_error_repeats_a_key(rental)


@pytest.fixture
async def ionet(tmp_path: Path) -> AsyncIterator[Network]:
    async with network("ionet", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        (Forgetful, _failing),
        (Forgetful, _asking),
        (Hopeful, _listing),
        (Careless, _failing),
        (Careless, _asking),
        (Spendthrift, _renewing),
        (Talkative, _saying),
    ],
)
async def test_a_provisioner_that_breaks_its_word_fails(
    ionet: Network, clock: Clock, tmp_path: Path, kind: type[IonetProvisioner], case: Case
) -> None:
    broken = partial(kind, tmp_path / "network.key", base_url=ionet.sandbox.base_url)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await case(replace(ionet, make=broken), clock, tmp_path)


async def test_a_client_that_no_kill_surrounds_is_said(
    ionet: Network, clock: Clock, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="does not surround each request"):
        await _dying(replace(ionet, calls=()), clock, tmp_path)


async def test_hours_that_are_bought_again_after_a_kill_are_said(
    ionet: Network, clock: Clock, tmp_path: Path
) -> None:
    broken = partial(Spendthrift, tmp_path / "network.key", base_url=ionet.sandbox.base_url)
    with pytest.raises(AssertionError, match="the network took more than is booked"):
        await _dying(replace(ionet, make=broken), clock, tmp_path)
