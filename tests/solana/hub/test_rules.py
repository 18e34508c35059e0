"""The table of rules on the Solana hub, and that no reason of the program goes without a test."""

import re
from pathlib import Path

import pytest

from support.hub import members
from support.hub_cases.on_solana import DIALECT, on_solana
from support.hub_cases.table import Case, judge
from support.hub_cases.whole import TABLE
from support.litesvm import LiteChain
from support.solana_idl import idl
from support.solana_own import OWN

HERE = [case for case in TABLE if case.name not in DIALECT.absent]
# Reasons that Solana alone has, and the test that breaks each.
ELSEWHERE = {
    "unknown instruction": "test_arguments.py",
    "arguments malformed": "test_arguments.py",
    "too few accounts": "test_accounts.py",
    "account does not sign": "test_accounts.py",
    "account not writable": "test_accounts.py",
    "wrong account": "test_accounts.py",
    "another writer's staging": "test_staging.py",
    "staging too long": "test_staging.py",
    "clock unset": "test_initialize.py",
    "callback account signs": "test_callback.py",
    "callback account of the hub": "test_callback.py",
    "callback accounts differ": "test_callback.py",
    "not the consumer": "test_callback.py",
    "too many accounts": "test_callback.py",
}
# Reasons that no call can reach here, and why.
UNREACHED = {
    "amount overflow": "there are not that many lamports, nor seconds before the year 557,000",
    "sysvar unreadable": "no cluster has such a rent",
}


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_rule(chain: LiteChain, case: Case):
    judge(case, on_solana(chain, members(4), 3), DIALECT)


def reasons() -> set[str]:
    """Every reason of the program."""
    return {each["msg"] for each in idl()["errors"]}


def test_every_reason_of_the_program_is_met_by_a_test():
    tried = [case for case in HERE if case.name not in DIALECT.different]
    met = {case.reason for case in tried + OWN if case.reason} | set(DIALECT.bounds.values())
    assert reasons() == met | set(ELSEWHERE) | set(UNREACHED)


@pytest.mark.parametrize(("reason", "file"), ELSEWHERE.items())
def test_a_reason_met_elsewhere_is_named_there(
    request: pytest.FixtureRequest, reason: str, file: str
):
    assert f'"{reason}"' in request.path.with_name(file).read_text()


def test_every_reason_is_explained_to_authors_under_its_code():
    guide = (Path(__file__).resolve().parents[3] / "docs" / "hub-solana.md").read_text()
    table = guide[guide.index("## Errors") : guide.index("## Compute units")]
    explained = re.findall(r"^\| (\d+) \| `([^`]+)` \| \w+", table, re.MULTILINE)
    assert explained == [(str(each["code"]), each["msg"]) for each in idl()["errors"]]
