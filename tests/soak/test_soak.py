"""The soak's own judges see what they are there for: each fault is put in, and is found."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from soak.faults import schedule
from soak.oracle import Intent, faults_of
from soak.questions import FULFILLED, KINDS, REFUNDED, Question, question
from soak.stages import interrupted
from soak.usage import Sample, slope
from vagus.daemon.failpoints import FAILPOINTS
from vagus.daemon.journal.rows import SCHEMA

QUESTIONS = [question(7, number) for number in range(2_000)]
ANSWERED = next(each for each in QUESTIONS if each.kind.name == "answered" and each.dest == 1)


def ended_well(asked: Question) -> Intent:
    """What the chains say of a question where all went right."""
    kind, hashed = asked.kind, keccak(asked.output)
    delivered = kind.callback is not None
    counted = int(kind.callback == 1)
    looks = {}
    for chain in (0, 1):
        there = delivered and chain == asked.dest
        state = kind.state if chain == asked.origin else 0
        looks[chain] = (
            state,
            there,
            (kind.callback or 0) if there else 0,
            hashed if there else bytes(32),
            counted if there else 0,
        )
    fee = 5 if FULFILLED in kind.statuses else 0
    return Intent(
        id=keccak(text=asked.prompt),
        origin=asked.origin,
        payload_hash=keccak(asked.payload),
        escrow=kind.fee,
        asked_at=1,
        delivered=[(asked.dest, 0, hashed)] if delivered else [],
        callbacks=[kind.callback == 1] if delivered else [],
        counted=[1] * counted,
        settled=[(status, fee, kind.fee - fee) for status in kind.statuses[:1]],
        refunded=[kind.fee] if kind.state == REFUNDED else [],
        ended_at=9,
        looks=looks,
    )


def test_questions_are_of_every_kind_and_all_different() -> None:
    assert {each.kind for each in QUESTIONS} == set(KINDS)
    assert len({each.payload for each in QUESTIONS}) == len(QUESTIONS)
    assert question(7, 3) == QUESTIONS[3]
    assert sum(kind.percent for kind in KINDS) == 100


def test_a_question_of_any_kind_that_ended_well_is_right() -> None:
    for each in QUESTIONS:
        assert not faults_of(each, [ended_well(each)])


def changed(**fields: object) -> Callable[[Intent], Intent]:
    return lambda intent: replace(intent, **fields)  # type: ignore[arg-type]


OTHER = keccak(text="another answer")
RIGHT = (ANSWERED.dest, 0, keccak(ANSWERED.output))
WRONGS = {
    "lost: neither settled nor refunded": changed(settled=[]),
    "lost: not delivered": changed(delivered=[]),
    "delivered twice": changed(delivered=[RIGHT, RIGHT]),
    "settled twice": changed(settled=[(0, 5, ANSWERED.kind.fee - 5)] * 2),
    "wrong answer": changed(delivered=[(ANSWERED.dest, 0, OTHER)]),
    "wrong status": changed(settled=[(1, 0, ANSWERED.kind.fee)]),
    "wrong callback": changed(callbacks=[False]),
    "not counted once": changed(counted=[1, 2]),
    "money that does not add up": changed(settled=[(0, 5, ANSWERED.kind.fee)]),
    "another end than it should have": changed(settled=[], refunded=[ANSWERED.kind.fee]),
    "handed over not once": lambda intent: _looking(intent, 4, 2),
    "lost: not handed over": lambda intent: _looking(intent, 4, 0),
    "wrong answer in the state": lambda intent: _looking(intent, 3, OTHER),
    "lost: still open": lambda intent: _looking(intent, 0, 1, chain=ANSWERED.origin),
}


def _looking(intent: Intent, at: int, value: object, chain: int = ANSWERED.dest) -> Intent:
    look = list(intent.looks[chain])
    look[at] = value  # type: ignore[call-overload]
    return replace(intent, looks=intent.looks | {chain: tuple(look)})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WRONGS)
def test_what_goes_wrong_with_an_intent_is_found(name: str) -> None:
    assert name in faults_of(ANSWERED, [WRONGS[name](ended_well(ANSWERED))])


def test_an_intent_that_no_chain_knows_is_lost_and_two_of_one_question_are_too_many() -> None:
    assert faults_of(ANSWERED, []) == {"lost: never asked on chain": 1}
    assert "asked twice" in faults_of(ANSWERED, [ended_well(ANSWERED)] * 2)


def test_a_refusal_that_was_paid_or_delivered_is_found() -> None:
    refused = next(each for each in QUESTIONS if each.kind.statuses == (1,))
    paid = replace(ended_well(refused), settled=[(1, 1, refused.kind.fee - 1)])
    assert "paid for nothing" in faults_of(refused, [paid])
    delivered = replace(ended_well(refused), delivered=[RIGHT])
    assert "delivered what should not be" in faults_of(refused, [delivered])


def test_the_schedule_of_faults_follows_from_the_seed_and_has_every_failpoint() -> None:
    first = [fault for fault, _ in zip(schedule(3, deadly=True), range(40), strict=False)]
    assert first == [fault for fault, _ in zip(schedule(3, deadly=True), range(40), strict=False)]
    assert {each.detail for each in first if each.name == "kill at"} == set(FAILPOINTS)
    harsh = [fault for fault, _ in zip(schedule(3, deadly=False), range(40), strict=False)]
    assert not {"kill", "kill at", "kill in an outage", "terminate"} & {f.name for f in harsh}


def test_kills_are_counted_at_the_stage_where_they_found_an_intent(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    lines = [(1, 1, 10.0), (1, 2, 20.0), (1, 9, 30.0), (2, 1, 10.0), (2, 5, 24.0)]
    with closing(sqlite3.connect(journal)) as db:
        db.executescript(SCHEMA)
        db.executemany(
            "INSERT INTO history(intent, stage, at, note) VALUES(?,?,?,'')", sorted(lines)
        )
        db.commit()
    assert interrupted(journal, [15.0, 22.0, 25.0, 40.0, 50.0]) == {
        "observed": 3,  # both at 15, the second at 22
        "final": 2,  # at 22 and 25
        "attested": 3,  # at 25, 40 and 50: it never ended
    }


def test_the_slope_of_memory_is_found_behind_the_warm_up() -> None:
    dice = random.Random(1)
    warming = [Sample(1, at, 100_000_000 + 20_000 * at) for at in range(0, 1_000, 10)]
    later = [
        Sample(1, at, 120_000_000 + 10 * at + dice.randint(-20_000, 20_000))
        for at in range(1_000, 50_000, 10)
    ]
    assert slope(warming + later, 1_000) == pytest.approx(10, abs=0.2)
    assert slope([], 10) is None
    assert slope(warming[:2], 10) is None
