"""The gas report is what the contracts cost, and the callback's reserve is what was measured."""

import importlib.util
import re
from pathlib import Path

import pytest

from support.contracts import CONTRACTS
from support.hub import HubClient

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    """The tables, measured now."""
    spec = importlib.util.spec_from_file_location("gas", CONTRACTS / "gas.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tables()


def test_the_report_holds_every_table_as_measured(tables: dict[str, str]):
    report = (DOCS / "gas.md").read_text()
    for name, table in tables.items():
        assert table in report, f"{name}: run contracts/evm/gas.py and copy the table"


def test_the_reserve_is_twice_what_is_spent_around_the_dearest_callback(
    hub: HubClient, tables: dict[str, str]
):
    spent = [
        int(figure.replace(",", ""))
        for figure in re.findall(r"([\d,]+) \|\n", tables["around a callback"])
    ]
    assert len(spent) == 4
    assert 2 * max(spent) <= hub.config["callbackReserve"]
