"""No reason of the Cosmos hub goes without a test. The table of rules runs on it in tests/nodes/hub."""

import re
from pathlib import Path

import pytest

from support.hub_cases.on_cosmos import DIALECT
from support.hub_cases.signing import ORDER
from support.hub_cases.whole import TABLE
from support.hub_cosmos import CosmosHub
from support.wasmd import RevertError

# Reasons that no hub of another chain has, or that need a chain or a deployment of their own.
ELSEWHERE = {
    "one coin only": "test_money.py",
    "denom unknown": "test_money.py",
    "no funds taken": "test_money.py",
}
# What no transaction of a test's chain can meet, and why.
UNREACHABLE = {
    "reentered": "the chain keeps a submessage's words to itself: test_callback.py sees it fail",
    "sender malformed": "no account or contract of wasmd has such an address",
}
REPOSITORY = Path(__file__).resolve().parents[3]


FIELD = 2**256 - 2**32 - 977
# A curve's points have no such x: 5 is no x of secp256k1 (y² = x³ + 7 has no root).
NO_POINT = 5


@pytest.mark.parametrize("r", [0, ORDER, FIELD, 2**256 - 1, NO_POINT])
@pytest.mark.parametrize("s", [0, 1])
@pytest.mark.parametrize("v", [27, 28])
def test_a_signature_that_no_key_makes_is_invalid(hub: CosmosHub, r: int, s: int, v: int):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    forged = r.to_bytes(32) + s.to_bytes(32) + bytes([v])
    signatures = [forged, *hub.sign("Attestation", attestation)]
    with pytest.raises(RevertError) as caught:
        hub.deliver(intent, attestation, b"answer", signatures)
    assert caught.value.reason == "signature invalid"


def reasons() -> set[str]:
    """Every reason of the contract's source."""
    source = (REPOSITORY / "contracts" / "cosmos" / "hub" / "src" / "error.rs").read_text()
    return set(re.findall(r'#\[error\("(.+)"\)\]', source))


def test_every_reason_of_the_contract_is_met_by_a_test():
    tried = [case for case in TABLE if case.name not in DIALECT.different]
    met = {case.reason for case in tried if case.reason} | set(DIALECT.bounds.values())
    assert reasons() == met | ELSEWHERE.keys() | UNREACHABLE.keys()


@pytest.mark.parametrize(("reason", "file"), ELSEWHERE.items())
def test_a_reason_met_elsewhere_is_named_there(
    request: pytest.FixtureRequest, reason: str, file: str
):
    assert f'"{reason}"' in request.path.with_name(file).read_text()


def test_every_reason_is_explained_to_contract_authors():
    explained: set[str] = set()
    for name in ("hub-evm.md", "hub-cosmos.md"):
        guide = (REPOSITORY / "docs" / name).read_text()
        errors = guide[guide.index("## Errors") :].partition("\n## ")[0]
        explained |= set(re.findall(r"`([^`\n]+)`", errors))
    assert reasons() <= explained
