"""What every provisioner promises, by the kit for authors, on each network's sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.leases import MAKERS, network
from vagus.compute.leases.conformance import ProvisionerConformance, Rental


class TestConformance(ProvisionerConformance):
    @pytest.fixture(params=sorted(MAKERS))
    async def rental(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rental]:
        async with network(request.param, tmp_path) as found:
            yield found
