"""When a lease is cheaper than tokens: the written policy, by hand and on a fortnight's trace."""

import pathlib
from decimal import Decimal

import pydantic
import pytest

from support.leasing import LOADS, always, by_policy, hindsight, never, rows, trace
from vagus.compute import Price, Usage
from vagus.compute.routing.capacity import Capacity, CapacityConfig

ROOT = pathlib.Path(__file__).parents[3]
# A hundred for a million tokens written, nothing for those read.
TOKENS = Price(output=Decimal(100))


def steady(per_hour: int, **config: float) -> Capacity:
    """A model that has written so many tokens an hour for a day."""
    now = [0.0]
    capacity = Capacity(CapacityConfig(**config), lambda: now[0])  # type: ignore[arg-type]  # pydantic reads it
    for minute in range(24 * 60):
        now[0] = 60.0 * minute
        capacity.used(Usage(0, per_hour // 60))
    return capacity


def test_a_steady_load_is_seen_as_it_is() -> None:
    # A sum that is fed each minute is up to a minute's fading above the mean.
    assert steady(6_000_000).rate().completion == pytest.approx(6_000_000, rel=0.02)


@pytest.mark.parametrize(
    ("hour", "taken", "renewed"), [(400, True, True), (500, False, True), (800, False, False)]
)
def test_a_lease_is_taken_at_more_of_its_worth_than_it_is_renewed_at(
    hour: int, taken: bool, renewed: bool
) -> None:
    # An hour's tokens cost about 600: 1.3 times 400 is less, 1.3 times 500 is more, 0.8 times 800 too.
    capacity = steady(6_000_000)
    assert capacity.decide(TOKENS, Decimal(hour), leased=False).wanted is taken
    assert capacity.decide(TOKENS, Decimal(hour), leased=True).wanted is renewed


def test_what_a_gpu_can_not_write_is_no_worth_of_it() -> None:
    # 100 tokens a second are 360,000 an hour, which cost 36.
    capacity = steady(6_000_000, tokens_per_second=100)
    assert not capacity.decide(TOKENS, Decimal(40), leased=False).wanted
    assert capacity.decide(TOKENS, Decimal(27), leased=False).wanted


def test_nothing_is_leased_for_a_model_that_nobody_asked_or_that_is_free() -> None:
    fresh = Capacity(CapacityConfig(), lambda: 0.0)
    assert not fresh.decide(TOKENS, Decimal(0), leased=True).wanted
    assert not steady(6_000_000).decide(Price(), Decimal(0), leased=False).wanted


def test_the_reason_says_what_was_compared() -> None:
    reason = steady(6_000_000).decide(TOKENS, Decimal(800), leased=False).reason
    assert reason.startswith("an hour's tokens cost 60")
    assert reason.endswith("elsewhere, less than 1.3 times the lease's 800")


def test_a_lease_that_would_be_dropped_at_once_is_a_config_error() -> None:
    with pytest.raises(pydantic.ValidationError, match="keep_above is over lease_above"):
        CapacityConfig(lease_above=1.0, keep_above=1.1)


@pytest.mark.parametrize("load", LOADS)
def test_on_a_fortnights_trace_it_costs_no_more_than_always_or_never_to_lease(load: str) -> None:
    minutes = trace(load)
    own = by_policy(minutes)
    assert own.cost <= min(never(minutes).cost, always(minutes).cost)
    assert own.cost <= 1.1 * hindsight(minutes)


def test_the_docs_have_the_trace_s_table() -> None:
    docs = (ROOT / "docs" / "routing.md").read_text()
    assert "\n".join(rows()) in docs
