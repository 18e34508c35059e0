from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.leases import Clock, Network, network


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
async def akash(tmp_path: Path) -> AsyncIterator[Network]:
    async with network("akash", tmp_path) as found:
        yield found
