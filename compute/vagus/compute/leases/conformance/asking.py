"""A provisioner's calls by themselves: each may be made twice, and what is read is not believed."""

# ruff: noqa: S101 - a test kit asserts

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest

from vagus.compute.leases.base import Lease, Provisioner
from vagus.compute.leases.conformance.rental import Clock, Rental
from vagus.protocol import Refuse, Retry

__all__ = ["Asking"]

T = TypeVar("T")

LABEL = "vagus-00112233aabbccdd-1"
SERVER_KEY = "a-key-of-the-containers-server"
TRIES = 60


class Asking:
    """One call, or the same call twice."""

    async def test_quotes_are_the_cheapest_first_and_none_is_over_the_price(
        self, rental: Rental
    ) -> None:
        """And asking rents nothing."""
        async with rental.make() as provisioner:
            quotes = await provisioner.quote(rental.want)
        assert quotes, "the sandbox must have what is wanted"
        assert all(0 < each.hourly <= rental.want.max_hourly for each in quotes)
        assert all(each.want == rental.want for each in quotes)
        assert rental.labels() == []

    async def test_what_is_asked_twice_is_one_machine_and_ends_once(
        self, rental: Rental, clock: Clock
    ) -> None:
        """By two provisioners too, which share no memory: the label is all that they have in common."""
        async with rental.make() as one, rental.make() as other:
            lease = await _leased(one, rental, clock)
            again = await _leased(other, rental, clock)
            assert (lease.id, lease.label) == (again.id, LABEL)
            assert rental.sandbox.rented() == {lease.id: LABEL}
            assert [each.id for each in await other.owned(LABEL)] == [lease.id]
            assert await other.owned("vagus-ffffffffffffffff-") == ()
            for provisioner in (one, other):
                await _patiently(partial(provisioner.release, lease), clock)
                assert rental.labels() == []
                assert await provisioner.owned(LABEL) == ()

    async def test_renewing_twice_buys_once(self, rental: Rental, clock: Clock) -> None:
        """A time is asked for, not a span."""
        async with rental.make() as provisioner:
            lease = await _leased(provisioner, rental, clock)
            await _patiently(lambda: _addressed(provisioner, lease), clock)
            ends = clock.now + 2 * 3600
            await _patiently(lambda: provisioner.renew(lease, ends), clock)
            credit = rental.sandbox.credit
            await _patiently(lambda: provisioner.renew(lease, ends), clock)
            assert rental.sandbox.credit == credit
            await _patiently(lambda: provisioner.release(lease), clock)

    async def test_a_lease_that_nobody_knows_is_over(self, rental: Rental, clock: Clock) -> None:
        """Releasing it is done; it can't be asked for its address, nor renewed."""
        async with rental.make() as provisioner:
            lease = await _leased(provisioner, rental, clock)
            await _patiently(lambda: provisioner.release(lease), clock)
            with pytest.raises(Refuse):
                await provisioner.ready(lease)
            with pytest.raises(Refuse):
                await provisioner.renew(lease, clock.now + 3600)

    async def test_no_error_repeats_a_key(self, rental: Rental) -> None:
        """Whoever echoes it; nor does the provisioner's repr."""
        shown = rental.sandbox.show()
        keys = [value for name, value in shown.items() if name.endswith("key")]
        assert keys, "the sandbox shows no key"
        for status in (400, 403, 500):
            rental.sandbox.faults.clear()
            rental.sandbox.faults.add(status=status, message=f"what is {' '.join(keys)}?")
            async with rental.make() as provisioner:
                words = [repr(provisioner)]
                for call in (provisioner.owned("vagus-"), provisioner.release(Lease("1", LABEL))):
                    try:
                        await call
                    except (Retry, Refuse) as error:
                        words += [str(error), error.reason]
            assert len(words) > 1, "a network that fails was believed"
            secret = shown.get("secret_key", shown["api_key"])
            assert not any(secret in each for each in words)

    async def test_an_answer_of_another_form_is_no_list(self, rental: Rental) -> None:
        """A list that can't be read is not an empty one, or what is rented would be taken for gone."""
        rental.sandbox.faults.add(status=200)
        async with rental.make() as provisioner:
            with pytest.raises(Retry):
                await provisioner.owned("vagus-")


async def _leased(provisioner: Provisioner, rental: Rental, clock: Clock) -> Lease:
    quote = (await provisioner.quote(rental.want))[0]
    return await _patiently(lambda: provisioner.lease(quote, LABEL, SERVER_KEY), clock)


async def _addressed(provisioner: Provisioner, lease: Lease) -> None:
    """Return once the machine has an address. Raises Retry until then."""
    if await provisioner.ready(lease) is None:
        raise Retry("it has no address", 5.0)


async def _patiently(call: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Make a call again while the network wants it to be, as the lessor does."""
    reason = ""
    for _ in range(TRIES):
        try:
            return await call()
        except Retry as error:
            clock.sleep(max(1.0, error.after))
            reason = error.reason
    raise AssertionError(f"it is asked again and again: {reason}")
