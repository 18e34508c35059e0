"""A pytest plugin for backends' authors: `pytest -p vagus.compute.conformance_plugin`.

With `--kit` a run without the kit is an error.
"""

import pytest

from vagus.compute.conformance import BackendConformance
from vagus.compute.leases.conformance import ProvisionerConformance

# Of a backend that answers, and of a network that rents machines out.
KITS = (BackendConformance, ProvisionerConformance)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--kit`."""
    parser.addoption("--kit", action="store_true", help="fail unless a conformance kit is here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look for the kit where it was asked for."""
    if config.getoption("--kit"):
        classes = [item.cls for item in items if isinstance(item, pytest.Function) and item.cls]
        if not any(issubclass(each, KITS) for each in classes):
            raise pytest.UsageError(
                "no test class here is a vagus.compute.conformance.BackendConformance, nor a "
                "vagus.compute.leases.conformance.ProvisionerConformance; `vagus backends new` writes one "
                "to copy"
            )
