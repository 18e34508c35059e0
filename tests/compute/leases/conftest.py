from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.leases import MAKERS, Clock, Network, network


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture(params=sorted(MAKERS))
async def rented(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Network]:
    async with network(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def akash(tmp_path: Path) -> AsyncIterator[Network]:
    async with network("akash", tmp_path) as found:
        yield found
