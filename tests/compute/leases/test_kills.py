"""kill -9 just before or after each write and each call of a lease's life: nothing leaks, nothing doubles."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from support.leases import Clock, Network, lessor, steps, stop
from vagus.compute.leases.records import State

TESTS = Path(__file__).parents[2]
MOST = 200


async def test_a_node_killed_at_any_point_of_a_lease_leaves_nothing_behind(
    rented: Network, tmp_path: Path, request: object
) -> None:
    name = request.node.callspec.params["rented"]  # type: ignore[attr-defined]
    sandbox = rented.sandbox
    given = {
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
        "secret_key": getattr(sandbox, "secret_key", ""),
    }
    lives = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.lease_lives",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert lives.stdin is not None
    assert lives.stdout is not None
    ends = []
    try:
        for point in range(1, MOST):
            folder = tmp_path / str(point)
            folder.mkdir()
            asked = {"network": name, "sandbox": given, "folder": str(folder), "kill_at": point}
            lives.stdin.write(json.dumps(asked).encode() + b"\n")
            ends.append(int(await lives.stdout.readline()))
            assert len(rented.labels()) <= 1, f"two machines after a kill at point {point}"
            await _recover(rented, folder, point)
            if not ends[-1]:
                break
    finally:
        lives.stdin.close()
        await lives.wait()
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert ends[-1] == 0, "the life never ended by itself"
    assert len(ends) > 20


async def _recover(rented: Network, folder: Path, point: int) -> None:
    """Start a node over what a killed one left: it serves with one machine, and ends with none."""
    clock = Clock()
    async with lessor(rented, folder, clock) as (each, ledger, guest):
        await steps(each, clock, 240)
        live = await ledger.live()
        labels = rented.labels()
        assert labels == [row.label for row in live], f"after a kill at point {point}"
        assert [row.state for row in live] == [State.SERVING]
        assert guest.home is not None
        assert await stop(each, clock, 300)
    assert rented.labels() == []
