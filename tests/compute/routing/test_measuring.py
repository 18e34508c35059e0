"""What the router believes of a backend, against the standard library's statistics."""

import random
import re
import statistics
from pathlib import Path

import pytest

from support.fleet import MODEL
from vagus.compute import Answer, Times, Usage
from vagus.compute.routing import Measurements, Rule, Spend, Tuning, Weights, sift
from vagus.compute.routing.allowance import Allowance
from vagus.compute.routing.measure import Series, size_of
from vagus.protocol import Refuse

DOCS = Path(__file__).parents[3] / "docs" / "routing.md"
# So long and so many that nothing fades.
KEEPING = Tuning(half_life=1e9, memory=10**9)


def answer(tokens: int = 10, first: float | None = None, total: float = 1.0) -> Answer:
    return Answer("ok", (), Usage(5, tokens), "stop", "m", Times(0, first, total))


def series(tuning: Tuning = KEEPING) -> Series:
    return Measurements(tuning, lambda: 0.0).of("one", MODEL.digest)


@pytest.mark.parametrize(("middle", "spread"), [(0.02, 0.3), (1.0, 0.5), (20.0, 1.2)])
def test_quantiles_are_within_seven_percent(middle: float, spread: float) -> None:
    dice, one = random.Random(7), series()
    seconds = [middle * dice.lognormvariate(0, spread) for _ in range(4000)]
    for each in seconds:
        one.answered(answer(), 0, each, 0.0)
    cuts = statistics.quantiles(seconds, n=100)
    [found, *others] = one.estimate(0.0).latency
    assert found is not None
    assert found.weight == pytest.approx(4000, rel=1e-4)
    assert found.p50 == pytest.approx(cuts[49], rel=0.08)
    assert found.p95 == pytest.approx(cuts[94], rel=0.08)
    assert others == [None, None]


def test_first_tokens_and_rates_are_means() -> None:
    dice, one = random.Random(8), series()
    answers = [(dice.randint(1, 400), dice.uniform(0.1, 2), dice.uniform(3, 9)) for _ in range(300)]
    for tokens, first, total in answers:
        one.answered(answer(tokens, first), 1, total, 0.0)
    found = one.estimate(0.0)
    assert found.first == pytest.approx(statistics.fmean(first for _, first, _ in answers))
    written = sum(tokens for tokens, _, _ in answers)
    assert found.rate == pytest.approx(written / sum(total - first for _, first, total in answers))


def test_shares_count_what_was_seen() -> None:
    one = series()
    for at in range(20):
        one.failed(0.0) if at < 3 else one.answered(answer(), 0, 1.0, 0.0)
    found = one.estimate(0.0)
    assert (found.weight, found.success) == (pytest.approx(20), pytest.approx(17 / 20))


def test_an_observation_counts_half_after_the_half_life_and_after_as_many_newer_ones() -> None:
    one = series(Tuning(half_life=600.0, memory=10**9))
    one.failed(0.0)
    one.answered(answer(), 0, 1.0, 600.0)
    assert one.estimate(600.0).success == pytest.approx(1 / 1.5)
    assert one.estimate(1200.0).weight == pytest.approx(0.75)
    other = series(Tuning(half_life=1e9, memory=100))
    other.failed(0.0)
    for _ in range(100):
        other.answered(answer(), 0, 1.0, 0.0)
    good = sum(2 ** (-each / 100) for each in range(100))
    assert other.estimate(0.0).success == pytest.approx(good / (good + 0.5))


def test_years_of_calls_do_not_overflow() -> None:
    one = series(Tuning(half_life=600.0, memory=100))
    for at in range(3000):
        one.answered(answer(), 0, 2.0, at * 10_000.0)
    found = one.estimate(3000 * 10_000.0).latency[0]
    assert found is not None
    assert found.p50 == pytest.approx(2, rel=0.08)


def test_sizes_are_told_apart_so_that_long_answers_make_no_short_ones_slow() -> None:
    one = series()
    for _ in range(20):
        one.answered(answer(), size_of(64), 1.0, 0.0)
        one.answered(answer(), size_of(4096), 30.0, 0.0)
    short, _, long = one.estimate(0.0).latency
    assert short is not None
    assert long is not None
    assert short.p95 == pytest.approx(1, rel=0.08)
    assert long.p50 == pytest.approx(30, rel=0.08)


def test_the_docs_have_the_exponents_that_are_used() -> None:
    weights = Weights()
    [formula] = re.findall(r"^    score = (.*)$", DOCS.read_text(), re.MULTILINE)
    found = {name: float(power) for name, power in re.findall(r"(\w+)\^([\d.]+)", formula)}
    assert found == {name: getattr(weights, name) for name in found}
    assert list(found) == ["price", "success", "latency", "verified", "capacity"]


def test_an_allowance_is_a_share_of_the_calls_so_far_and_saves_up_ten() -> None:
    one = Allowance(0.05)
    taken = 0
    for calls in range(1, 1001):
        one.earn()
        taken += one.take()
        assert taken <= 0.05 * calls + 1e-9
    assert taken == 50
    for _ in range(10_000):
        one.earn()
    assert [one.take() for _ in range(11)] == [True] * 10 + [False]


def test_what_is_held_is_not_spent_twice() -> None:
    spend = Spend(100)
    spend.hold(60)
    with pytest.raises(Refuse, match="budget of 100 for compute does not bear 41 more"):
        spend.hold(41)
    spend.settle(60, 10)
    spend.hold(90)
    assert spend.used == 100
    assert Spend().bears(10**30)


def test_what_falls_out_falls_by_its_first_rule_and_the_last_rule_left_none() -> None:
    rules: list[Rule[int]] = [
        Rule("under ten", lambda n: n < 10),
        Rule("even", lambda n: n % 2 == 0),
    ]
    sifted = sift([1, 2, 11, 12], rules)
    assert sifted.kept == (2,)
    assert [(item, rule.words) for item, rule in sifted.out] == [
        (1, "even"),
        (11, "under ten"),
        (12, "under ten"),
    ]
    assert sifted.last(rules) is None
    assert sift([1, 11], rules).last(rules) is rules[1]
