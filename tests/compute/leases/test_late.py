"""A network that does what it was asked, and says so when nobody waits any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.leases import MAKERS, Clock, lessor, network, serve, steps, stop
from vagus.compute.leases.base import Provisioner

# The call that makes what costs money.
MAKES = {
    "akash": "/v1/deployments$",
    "ionet": "/deploy$",
    "render": "/v1/jobs$",
}


@pytest.mark.parametrize("name", sorted(MAKERS))
async def test_an_answer_after_the_timeout_to_work_that_was_done_makes_no_second_machine(
    name: str, clock: Clock, tmp_path: Path
) -> None:
    async with network(name, tmp_path) as account:

        def impatient() -> Provisioner:
            made = account.make()
            made._timeout = 2.0  # type: ignore[attr-defined]
            return made

        late = account.sandbox.faults.add(
            method="POST", path=MAKES[name], delay=600.0, after_work=True, times=1
        )
        hasty = replace(account, make=impatient)
        async with lessor(hasty, tmp_path, clock) as (each, ledger, guest):
            row = await serve(each, ledger, guest, clock)
            assert not account.sandbox.faults.left(late)
            assert account.labels() == [row.label]
            await steps(each, clock, 240)
            assert account.labels() == [row.label]
            assert len(await ledger.recent()) == 1
            assert await stop(each, clock, 600)
            assert account.labels() == []
