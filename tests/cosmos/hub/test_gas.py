"""The gas report is what the contracts cost."""

import importlib.util
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_report_holds_every_table_as_measured():
    path = REPOSITORY / "contracts" / "cosmos" / "gas.py"
    spec = importlib.util.spec_from_file_location("gas_cosmos", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report = (REPOSITORY / "docs" / "hub-cosmos.md").read_text()
    for name, table in module.tables().items():
        assert table in report, f"{name}: run contracts/cosmos/gas.py and copy the table"
