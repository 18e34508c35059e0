"""The kit: all of its tests in one class, and the clock that they move."""

import time

import pytest

from vagus.compute.leases.conformance.asking import Asking
from vagus.compute.leases.conformance.dying import Dying
from vagus.compute.leases.conformance.failing import Failing
from vagus.compute.leases.conformance.rental import Clock
from vagus.compute.leases.conformance.renting import Renting

__all__ = ["ProvisionerConformance"]


class ProvisionerConformance(Asking, Renting, Failing, Dying):
    """Subclass it and give the fixture `rental`: a `Rental` whose sandbox runs."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Time that a test moves, for the provisioner and the sandbox alike."""
        clock = Clock()
        monkeypatch.setattr(time, "time", clock)
        return clock
