"""The tests that every provisioner passes, against a sandbox of its network.

In a test module of an author's, for pytest with pytest-asyncio:

    class TestMine(ProvisionerConformance):
        @pytest.fixture
        async def rental(self, tmp_path):
            async with MySandbox() as sandbox:      # a vagus.compute.sandbox.rental.RentalSandbox
                key = tmp_path / "key"
                key.touch(mode=0o600)
                key.write_text(sandbox.api_key)
                make = functools.partial(MyProvisioner, key, base_url=sandbox.base_url)
                want = Want(container, max_hourly=Decimal("0.60"))
                yield Rental(sandbox=sandbox, make=make, want=want, model="model")

They rent, renew and release through vagus's own lessor while all around goes wrong: a node is killed
between its calls, the API fails before and after its work, machines disappear, credit runs out. After each
the network's own books, which the sandbox keeps, have no machine too many and no money over the caps.

Overriding a test needs a written reason.
"""

import pytest

# So that a failure in the kit shows what was compared, as in a test module of one's own.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("asking", "dying", "failing", "renting", "tools"))
)

from vagus.compute.leases.conformance.rental import Clock, Rental  # noqa: E402 - as above
from vagus.compute.leases.conformance.suite import ProvisionerConformance  # noqa: E402 - as above

__all__ = ["Clock", "ProvisionerConformance", "Rental"]
