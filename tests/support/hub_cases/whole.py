"""All cases, and every reason that the EVM hub's source has for rejecting."""

import re

from support.contracts import CONTRACTS
from support.hub_cases import (
    asking,
    calling,
    delivering,
    deploying,
    forking,
    guarding,
    paying,
    recording,
    retrying,
    rotating,
    settling,
    signing,
)
from support.hub_cases.table import Case

__all__ = ["TABLE", "reasons"]

PARTS = [
    deploying,
    asking,
    delivering,
    signing,
    calling,
    retrying,
    settling,
    paying,
    recording,
    rotating,
    guarding,
    forking,
]
TABLE: list[Case] = [case for part in PARTS for case in part.CASES]


def reasons() -> set[str]:
    """Every reason string of the contract's source."""
    sources = [CONTRACTS / "Hub.vy", *sorted((CONTRACTS / "modules").glob("*.vy"))]
    text = "".join(source.read_text() for source in sources)
    # A reason is the string after a comma that ends an assert, on its line or on its last one.
    found = re.findall(r'(?:assert [^"]*?|\)), "([^"]+)"\n', text)
    assert len(found) == len(re.findall(r"^ +assert ", text, re.MULTILINE))
    assert "raise" not in text
    return set(found)
