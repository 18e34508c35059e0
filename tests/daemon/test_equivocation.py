"""Whatever a member is told to say, and wherever it is killed: it never contradicts itself."""

import pytest

from support.equivocation import CONTRADICTIONS, interleave

# `python -m support.equivocation` tries 100,000.
INTENTS = 5_000
OF_A_MUTANT = 1_000


def test_no_key_signs_two_outcomes_two_receipts_or_two_votes_of_a_round() -> None:
    counts = interleave(INTENTS)
    assert {name: counts[name] for name in CONTRADICTIONS} == dict.fromkeys(CONTRADICTIONS, 0)
    # It was tried: lives were killed and ended, and contradictions asked for.
    assert min(counts["killed"], counts["ended"]) >= 20
    assert counts["left"] > 5 * INTENTS
    assert counts["refused"] > INTENTS


@pytest.mark.parametrize(
    ("mutant", "contradictions"),
    [
        ("overwriting", {"two values of one round", "left, and not in the journal"}),
        ("unpledged", {"two outcomes of one intent", "two receipts of one intent"}),
        ("hasty", set(CONTRADICTIONS)),
    ],
)
def test_a_journal_without_its_guard_is_found(mutant: str, contradictions: set[str]) -> None:
    counts = interleave(OF_A_MUTANT, kind=mutant)
    assert contradictions <= {name for name in CONTRADICTIONS if counts[name]}
