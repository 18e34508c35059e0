"""What `vagus check` and `doctor` say of a committee: its set, its roster, its transports."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PrivateKey

from support.committees import address_of, hub_state, roster
from support.mosquitto import Mosquitto, free_port
from support.scripted import response, scripted, sending
from vagus.daemon.committee.transport.config import BrokerConfig, PeerConfig, PeersConfig
from vagus.daemon.doctor.committee import look_at_committee, look_at_set
from vagus.daemon.doctor.finding import Finding, Verdict

NAME = "hub eip155:31337"


def made(*members: int, signer: int = 1) -> Any:
    return SimpleNamespace(
        signer=address_of(signer), settings=SimpleNamespace(committee=roster(*members))
    )


def looked(*hub: int, threshold: int, made: Any, **changes: Any) -> dict[str, Finding]:
    state = hub_state(*hub, threshold=threshold, epoch=7, **changes)
    return {each.name: each for each in look_at_set(NAME, state, made)}


def test_a_member_whose_roster_the_hub_has_is_well_and_its_bound_is_said() -> None:
    found = looked(1, 2, 3, 4, threshold=3, made=made(1, 2, 3, 4))
    assert {each.verdict for each in found.values()} == {Verdict.OK}
    assert found[NAME].finding == "epoch 7, threshold 3 of 4, open at block 100"
    assert (
        "stands 1 liar, and, if nobody lies, 1 member away" in found["roster eip155:31337"].finding
    )


def test_a_roster_that_the_hub_has_not_fails() -> None:
    found = looked(1, 2, 3, threshold=2, made=made(1, 2, 3), roster_hash=bytes(32))
    assert found[NAME].verdict == Verdict.OK
    assert found["roster eip155:31337"].verdict == Verdict.FAIL
    assert roster(1, 2, 3).digest().hex() in found["roster eip155:31337"].finding


def test_a_stranger_to_the_set_and_a_roster_without_a_quorum_fail() -> None:
    stranger = looked(1, 2, 3, threshold=2, made=made(1, 2, 3, 4, signer=4))
    assert "is not in the set" in stranger[NAME].finding
    alone = looked(1, 2, 3, threshold=2, made=made(1))
    assert "the roster has 1 of its signers: no quorum" in alone[NAME].finding
    assert {stranger[NAME].verdict, alone[NAME].verdict} == {Verdict.FAIL}


def settings(folder: Path, *transports: object) -> Any:
    key = SimpleNamespace(key=PrivateKey(b"\x07" * 32))
    return SimpleNamespace(
        committee=roster(1, 2, 3),
        transports=transports,
        data=folder / "data",
        member_key=lambda _: key,
    )


async def test_a_broker_that_takes_the_node_is_well_and_one_that_is_away_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.daemon.doctor.committee._ANSWER", 2.0)
    async with Mosquitto(tmp_path) as broker:
        here = BrokerConfig(url=broker.url)
        away = BrokerConfig(url=f"mqtt://127.0.0.1:{free_port()}")
        found = await look_at_committee(settings(tmp_path, here, away), made(1, 2, 3))
    verdicts = {each.name: each.verdict for each in found}
    assert verdicts[f"transport {here.url}"] == Verdict.OK
    assert verdicts[f"transport {away.url}"] == Verdict.FAIL
    assert verdicts["committee"] == Verdict.OK


@pytest.mark.parametrize(
    ("status", "verdict"), [("200 OK", Verdict.OK), ("421 Misdirected Request", Verdict.WARN)]
)
async def test_a_peer_is_asked_whether_it_answers(
    tmp_path: Path, status: str, verdict: Verdict
) -> None:
    async with scripted(sending(response(b"", status=status))) as served:
        url = served.base_url.removesuffix("/v1")
        peers = PeersConfig(peers=(PeerConfig(transport="0x" + "11" * 20, url=url),))
        first, *_ = await look_at_committee(settings(tmp_path, peers), made(1, 2, 3))
    assert (first.name, first.verdict) == (f"transport {url}", verdict)
