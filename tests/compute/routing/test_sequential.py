"""The sequential test: its false alarms, and how fast it tells another model."""

import itertools
import math
import random

import pytest

from vagus.compute.routing.sequential import (
    ALARMS,
    KNOWN,
    QUESTIONS,
    RESCORED,
    Check,
    Sequential,
)

BOTH = pytest.mark.parametrize("check", [RESCORED, KNOWN], ids=["rescored", "known"])


def alarms(failing: float, check: Check, runs: int, seed: int) -> int:
    """How many backends that fail so often are told to be another within 1,000 questions."""
    source = random.Random(seed)
    count = 0
    for _ in range(runs):
        test = Sequential()
        count += any(test.note(source.random() >= failing, check) for _ in range(QUESTIONS))
    return count


@BOTH
def test_at_most_one_in_a_hundred_honest_backends_is_alarmed_at(check: Check) -> None:
    assert alarms(check.honest, check, 1000, seed=1) <= ALARMS * 1000


@BOTH
def test_a_backend_that_fails_less_often_than_an_honest_one_is_not_alarmed_at(check: Check) -> None:
    assert alarms(check.honest / 2, check, 1000, seed=2) == 0


def questions(test: Sequential, check: Check) -> int:
    """How many failed checks in a row the alarm takes."""
    return next(at for at in itertools.count(1) if test.note(False, check))


def test_who_always_fails_is_told_after_four_rescored_questions_and_eleven_known_ones() -> None:
    # By hand: ln(1000 / 0.01) = 11.51; a failure counts ln(0.2 / 0.01) = 3.00 or ln(0.6 / 0.2) = 1.10.
    assert questions(Sequential(), RESCORED) == math.ceil(11.51 / 3.00)
    assert questions(Sequential(), KNOWN) == math.ceil(11.51 / 1.10)


@BOTH
def test_a_swap_after_a_long_good_time_is_told_as_soon_as_one_at_the_beginning(
    check: Check,
) -> None:
    seasoned = Sequential()
    for _ in range(5000):
        assert not seasoned.note(True, check)
    assert questions(seasoned, check) == questions(Sequential(), check)


def test_an_alarm_stays_until_the_test_is_restarted() -> None:
    test = Sequential()
    questions(test, RESCORED)
    assert all(test.note(True, RESCORED) for _ in range(50))
    assert (test.suspicion, test.passed_in_a_row) == (1.0, 50)
    test.restart()
    assert not test.note(True, RESCORED)
    assert test.asked == 1
