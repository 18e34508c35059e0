"""SECURITY.md's table of attacks: each error that it names is asserted in the tests that it names."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CHAINS = ("evm", "solana", "cosmos")
NOTHING_SUCH = "-"


def rows() -> list[dict[str, str]]:
    """The table's rows, by column."""
    text = (TESTS.parent / "SECURITY.md").read_text()
    section = text[text.index("## Bad input") :].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip((name.lower() for name in head), row, strict=True)) for row in body]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CELLS = [
    pytest.param(row, chain, id=f"{chain}-{row['attack'].partition(':')[0]}")
    for row in rows()
    for chain in CHAINS
    if row[chain] != NOTHING_SUCH
]


@pytest.mark.parametrize(("row", "chain"), CELLS)
def test_each_attack_is_tried_where_the_table_says(row: dict[str, str], chain: str):
    files = [file for name in quoted(row["tests"]) for file in (TESTS / chain).glob(f"*/{name}")]
    assert files
    text = "".join(file.read_text() for file in files)
    if "support.solana_attacks" in text:
        text += (TESTS / "support" / "solana_attacks.py").read_text()
    for reason in quoted(row[chain]):
        assert f'"{reason}' in text
