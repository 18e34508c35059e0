"""The table of rules on the Solana hub, and that no reason of the program goes without a test."""

import re
from pathlib import Path

import pytest

from support.contracts import RevertError
from support.hub_cases import asking, delivering, guarding, rotating, settling, signing
from support.hub_cases.table import Case
from support.hub_solana import LACKS, SolanaHub
from support.solana_idl import idl

PARTS = [asking, delivering, signing, settling, rotating, guarding]
WHOLE: list[Case] = [case for part in PARTS for case in part.CASES]
TABLE = [case for case in WHOLE if case.name not in LACKS]
# What the bounds of the EVM's ABI reject without a word has a reason here.
BOUNDS = {
    "a payload over 8,192 bytes": "payload too long",
    "terms over 1,024 bytes": "terms too long",
    "an output over 8,192 bytes": "output too long",
    "a signature of 66 bytes": "signature length",
    "33 signatures": "too many signatures",
    "a set of 33": "too many signers",
    "35 payouts": "too many payouts",
    "payouts whose sum overflows": "payouts do not sum",
}
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
    "already initialized": "test_initialize.py",
    "not the upgrade authority": "test_initialize.py",
    "genesis malformed": "test_initialize.py",
    "first epoch not now": "test_initialize.py",
    "periods": "test_initialize.py",
    "nonce in use": "test_money.py",
    "credit not open": "test_money.py",
    "intent still open": "test_money.py",
    "close too early": "test_money.py",
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


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_rule(hub: SolanaHub, case: Case):
    if case.reason is None:
        case.act(hub)
        return
    with pytest.raises(RevertError) as caught:
        case.act(hub)
    assert caught.value.reason == (case.reason or BOUNDS[case.name])


def test_what_is_left_out_of_the_table_is_in_it():
    assert {case.name for case in WHOLE} >= set(LACKS) | set(BOUNDS)


def reasons() -> set[str]:
    """Every reason of the program."""
    return {each["msg"] for each in idl()["errors"]}


def test_every_reason_of_the_program_is_met_by_a_test():
    met = {case.reason for case in TABLE if case.reason} | set(BOUNDS.values())
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
