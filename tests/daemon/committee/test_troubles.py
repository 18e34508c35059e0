"""What is wrong with a committee is said in words, and a sound one has nothing said of it."""

from typing import Any

import pytest

from vagus.daemon.committee.troubles import troubles

SIGNER = "0x" + "11" * 20


def member(**changes: Any) -> dict[str, Any]:
    sound = {
        "signer": SIGNER,
        "heard": 1.0,
        "present": True,
        "version": "1.0",
        "clock": 0,
        "lag": {"eip155:1": 1},
        "runway": {"eip155:1": 400},
        "took_part": 3,
        "of": 3,
    }
    return sound | changes


def view(**changes: Any) -> dict[str, Any]:
    transport = {"name": "mqtt", "connected": True, "received": 9, "dropped": {}, "reconnects": 0}
    sound = {
        "signer": "0x" + "33" * 20,
        "in_roster": True,
        "waits": None,
        "envelopes": {"taken": 9, "again": 4, "late": 1, "forged": 7, "replaced": 90},
        "lately": {"taken": 2, "replaced": 9},
        "transports": [transport],
        "members": [member(), member(signer="0x" + "22" * 20)],
    }
    return sound | changes


def chain(lacking: str | None) -> dict[str, Any]:
    return {"hub": "eip155:1:0xaa", "committee": {"lacking": lacking}}


def test_nothing_is_said_of_a_sound_committee() -> None:
    assert list(troubles(view(), [chain(None), {"hub": "x", "committee": None}])) == []


AWAY = {"name": "http", "connected": False, "received": 0, "dropped": {"queue": 7}, "reconnects": 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"waits": "1 of 2 members have said"}, ["1 of 2 members have said"]),
        ({"transports": [AWAY]}, ["http is away", "http dropped 7 envelopes"]),
        ({"members": [member(heard=None, present=False)]}, [f"{SIGNER} was never heard of"]),
        ({"members": [member(heard=93.4, present=False)]}, ["last heard of 93 s ago"]),
        ({"members": [member(clock=-40)]}, ["clock is 40 s behind"]),
        ({"members": [member(lag={"eip155:1": 99})]}, ["99 final blocks behind on eip155:1"]),
        (
            {"members": [member(runway={"eip155:1": 3, "eip155:2": 90})]},
            ["can pay for 3 more transactions on eip155:1"],
        ),
        (
            {"members": [member(), member(version="0.9")]},
            ["runs vagus 1.0", "runs vagus 0.9"],
        ),
        ({"in_roster": False}, ["33 is not in its roster: "]),
        ({"lately": {"forged": 3}}, ["3 envelopes forged in the last ten minutes"]),
        ({"lately": {"stale": 1}}, ["by a roster that does not count here"]),
    ],
)
def test_each_fault_has_its_words(changes: dict[str, Any], words: list[str]) -> None:
    found = list(troubles(view(**changes), []))
    assert len(found) == len(words)
    for line, part in zip(found, words, strict=True):
        assert part in line


def test_a_quorum_that_is_out_of_reach_is_said_of_its_hub() -> None:
    (line,) = troubles(view(), [chain("3 of 4 members must agree, and 2 are here")])
    assert line.startswith("eip155:1:0xaa: 3 of 4 members must agree, and 2 are here")
