"""The table of costs in docs/benchmarks.md has the figures of the hubs' own reports.

Those are measured again by the tests of the hubs: tests/evm/hub/test_gas.py,
tests/solana/hub/test_units.py, tests/cosmos/hub/test_gas.py.
"""

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def table(document: str, heading: str) -> list[dict[str, str]]:
    """The rows of the first table under a heading, by the names of their columns."""
    text = (DOCS / document).read_text()
    _, _, section = text.partition(f"\n## {heading}\n")
    lines = section.splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[rule + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(cells(lines[rule - 1]), cells(line), strict=True)))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def gas(document: str, heading: str, column: str) -> list[str]:
    """A column of a report that has a row for each number of signatures."""
    found = {row["signatures"]: row[column] for row in table(document, heading)}
    return [found[count] for count in ("1", "3", "7")]


def units(*calls: str) -> list[str]:
    found = {row["call"]: row["compute units"] for row in table("hub-solana.md", "Compute units")}
    return [found[call] for call in calls]


def test_the_costs_are_those_of_the_hubs_own_reports() -> None:
    printed = {
        (row["call"], row["chain"]): [row["1 signature"], row["3"], row["7"]]
        for row in table("benchmarks.md", "Costs")
    }
    assert printed == {
        ("deliver 144 bytes", "EVM, gas"): gas("gas.md", "deliver", "no callback"),
        ("deliver 144 bytes", "Solana, compute units"): units(
            "deliver, 144 bytes, 1 signature",
            "deliver, 144 bytes, 3 signatures",
            "deliver, 144 bytes, 7 signatures",
        ),
        ("deliver 144 bytes", "Cosmos, gas"): gas("hub-cosmos.md", "Gas", "deliver, no callback"),
        ("settle with 5 payees", "EVM, gas"): gas("gas.md", "settle", "5 payees with credit"),
        ("settle with 5 payees", "Solana, compute units"): units(
            "settle, 5 payees, 1 signature",
            "settle, 5 payees, 3 signatures",
            "settle, 5 payees, 7 signatures",
        ),
        ("settle with 5 payees", "Cosmos, gas"): gas(
            "hub-cosmos.md", "Gas", "settle, 5 payees with credit"
        ),
        ("rotate", "EVM, gas"): gas("gas.md", "rotate", "to as many signers"),
        ("rotate", "Solana, compute units"): units(
            "rotate to 1 signer, 1 signature",
            "rotate to 3 signers, 3 signatures",
            "rotate to 7 signers, 7 signatures",
        ),
        ("rotate", "Cosmos, gas"): gas("hub-cosmos.md", "Gas", "rotate"),
    }
