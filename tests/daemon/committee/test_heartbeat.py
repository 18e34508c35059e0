"""What a member says of itself, and what the others take of it."""

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PrivateKey

from support.chain import ScriptedChain
from support.pipelines import A, B
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.committee.heartbeat import Beat
from vagus.daemon.committee.members import Members
from vagus.daemon.network import Network
from vagus.daemon.survey import Balance, Survey
from vagus.protocol import address_of, canonical
from vagus.protocol.envelope import Envelope, Kind

KEY = PrivateKey(b"\x07" * 32)
OTHER = b"\x11" * 20


def heard(body: bytes) -> dict[str, Any]:
    """What a member's heartbeat is shown as."""
    members = Members([OTHER])
    zero = bytes(32)
    beat = Envelope(Kind.HEARTBEAT, zero, zero, OTHER, 1, zero, 0, zero, body)
    members.note(beat, b"")
    members.beat(beat)
    [shown] = members.view({"chains": {"eip155:31337": {"final": 9}}}, {OTHER})
    return shown


async def test_it_says_how_many_transactions_each_account_pays_for() -> None:
    chains = [ScriptedChain(hub, Wallet(KEY), address_of(KEY)) for hub in (A, B)]
    journal: Any = SimpleNamespace()
    network = Network(chains, journal)
    survey = Survey(network)
    survey.balances = {"eip155:31337": Balance(1_000, time.time())}
    beat = Beat(network, survey, {"eip155:31337": 300, "eip155:31338": 300})
    told = beat.told()
    assert json.loads(canonical(told)) == told
    found: Any = told["chains"]
    assert found["eip155:31337"] == {"latest": 1, "final": 1, "runway": 3}
    assert found["eip155:31338"]["runway"] is None
    shown = heard(canonical(told))
    assert shown["runway"] == {"eip155:31337": 3}
    assert shown["lag"] == {"eip155:31337": 8}


@pytest.mark.parametrize(
    "chains",
    [
        [],
        "x",
        {"eip155:31337": None},
        {"eip155:31337": {"runway": "many"}},
        {"eip155:31337": {"runway": -1}},
        {"eip155:31337": {"runway": [[]]}},
    ],
)
def test_what_is_no_number_of_transactions_is_left_out(chains: object) -> None:
    assert heard(json.dumps({"chains": chains}).encode())["runway"] == {}
