"""The simulated market of benchmarks/routing: it repeats to the letter, and the router holds up in it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def played(backends: int) -> dict[str, list[str]]:
    """The table's rows by policy: success, p50, p99, cost and so on, as printed."""
    command = [sys.executable, ROOT / "benchmarks" / "routing", "--no-litellm", "--no-times"]
    sizes = ["--backends", str(backends), "--seeds", "1,2", "--calls", "400"]
    printed = subprocess.run([*command, *sizes], check=True, capture_output=True, text=True).stdout
    assert f"LiteLLM was NOT tried on {backends} backends" in printed
    rows = re.findall(r"^\| ([a-z, ]+) \| (.+) \|$", printed, flags=re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in rows if name != "policy"}


def number(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0])


def test_the_router_answers_nearly_all_calls_where_the_cheapest_does_not() -> None:
    found = played(10)
    assert number(found["vagus"][0]) >= 99.5
    assert number(found["cheapest first"][0]) < 99
    assert number(found["vagus"][2]) < number(found["random"][2])
    assert number(found["vagus"][3]) < 1.5 * number(found["cheapest first"][3])
    assert played(10) == found
