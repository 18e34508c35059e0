"""Whole committees with liars and crashes on a bad network: one value, a right one, and an end."""

import pytest

from support.committee_sim import Outcome, simulate
from vagus.protocol.agreement import Agreement, Effect
from vagus.protocol.votes import Proposal

SCHEDULES, PART = 2_000, 250


def wrong(outcome: Outcome) -> bool:
    """Whether two values were decided, or one that no honest member finds right."""
    values = set(outcome.decided.values())
    return len(values) > 1 or any(value[0] != 1 for value in values)


@pytest.mark.parametrize("first", range(0, SCHEDULES, PART))
def test_all_honest_members_decide_one_right_value(first: int) -> None:
    for seed in range(first, first + PART):
        outcome = simulate(seed)
        assert not wrong(outcome), seed
        assert len(outcome.decided) == outcome.honest, seed


class WithoutLock(Agreement):
    """Forgets in each round what it has precommitted before."""

    def _considered(self, proposal: Proposal) -> list[Effect]:
        self._locked = None
        return super()._considered(proposal)

    def _enter(self, round_: int, ended: tuple = ()) -> list[Effect]:  # type: ignore[type-arg]
        self._valid = None
        return super()._enter(round_, ended)


class WithoutMemory(Agreement):
    """Starts again as if it had said nothing yet."""

    def restore(self, journalled: object) -> None:
        pass


class WithoutProof(Agreement):
    """Believes a leader that a quorum has prevoted its value."""

    def _leads(self, proposal: Proposal) -> bool:
        return proposal.sender == self.members.leader(proposal.round)


class WithoutCatchingUp(Agreement):
    """Waits for each round to end, wherever the others are."""

    def _overtaken(self) -> list[Effect]:
        return []


@pytest.mark.parametrize("broken", [WithoutLock, WithoutMemory, WithoutProof])
def test_the_schedules_find_a_member_that_breaks_a_rule(broken: type[Agreement]) -> None:
    assert any(wrong(simulate(seed, broken)) for seed in range(2_000))


def test_the_schedules_find_a_member_that_stays_behind() -> None:
    outcomes = (simulate(seed, WithoutCatchingUp) for seed in range(2_000))
    assert any(len(outcome.decided) < outcome.honest for outcome in outcomes)
