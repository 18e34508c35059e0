"""The table of rules on the EVM hub, and that no reason of the contract goes without a case."""

import re

import pytest

from support.contracts import CONTRACTS
from support.hub import HubClient
from support.hub_cases.on_evm import DIALECT, EvmHub
from support.hub_cases.table import Case, judge
from support.hub_cases.whole import TABLE, reasons


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_rule(hub: HubClient, case: Case):
    judge(case, EvmHub(hub.anvil, hub.contract, hub.keys, hub.threshold), DIALECT)


def test_no_two_rules_have_one_name():
    names = [case.name for case in TABLE]
    assert len(set(names)) == len(names)


def test_every_reason_of_the_contract_is_met_by_a_case():
    assert reasons() == {case.reason for case in TABLE if case.reason}


def test_every_reason_is_explained_to_contract_authors():
    guide = (CONTRACTS.parents[1] / "docs" / "hub-evm.md").read_text()
    table = guide[guide.index("## Errors") : guide.index("## Deploy")]
    explained = set(re.findall(r"^\| `([^`]+)` \| \w+", table, re.MULTILINE))
    assert explained == reasons()
