"""The table of rules on the EVM hub, and that no reason of the contract goes without a test."""

import re

import pytest

from support.contracts import CONTRACTS
from support.hub import HubClient, RevertError
from support.hub_cases import asking, delivering, guarding, rotating, settling, signing
from support.hub_cases.table import Case

PARTS = [asking, delivering, signing, settling, rotating, guarding]
TABLE: list[Case] = [case for part in PARTS for case in part.CASES]
# Reasons that need a chain, a contract or a deployment of their own, and the test that breaks each.
ELSEWHERE = {
    "wrong chain": "test_wrong_chain.py",
    "periods": "test_deployment.py",
    "too little gas for callback": "test_callback.py",
    "withdrawal refused": "test_money.py",
    "record full": "test_records.py",
}


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_rule(hub: HubClient, case: Case):
    if case.reason is None:
        case.act(hub)
        return
    with pytest.raises(RevertError) as caught:
        case.act(hub)
    assert caught.value.reason == case.reason


def test_no_two_rules_have_one_name():
    names = [case.name for case in TABLE]
    assert len(set(names)) == len(names)


def reasons() -> set[str]:
    """Every reason string of the contract's source."""
    sources = [CONTRACTS / "Hub.vy", *sorted((CONTRACTS / "modules").glob("*.vy"))]
    text = "".join(source.read_text() for source in sources)
    # A reason is the string after a comma that ends an assert, on its line or on its last one.
    found = re.findall(r'(?:assert [^"]*?|\)), "([^"]+)"\n', text)
    assert len(found) == len(re.findall(r"^ +assert ", text, re.MULTILINE))
    assert "raise" not in text
    return set(found)


def test_every_reason_of_the_contract_is_met_by_a_test():
    assert reasons() == {case.reason for case in TABLE if case.reason} | set(ELSEWHERE)


def test_every_reason_is_explained_to_contract_authors():
    guide = (CONTRACTS.parents[1] / "docs" / "hub-evm.md").read_text()
    table = guide[guide.index("## Errors") : guide.index("## Deploy")]
    explained = set(re.findall(r"^\| `([^`]+)` \| \w+", table, re.MULTILINE))
    assert explained == reasons()


@pytest.mark.parametrize(("reason", "file"), ELSEWHERE.items())
def test_a_reason_met_elsewhere_is_named_there(
    request: pytest.FixtureRequest, reason: str, file: str
):
    assert f'"{reason}"' in request.path.with_name(file).read_text()
