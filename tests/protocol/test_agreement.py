"""The rules by which a member votes, one by one; tests/protocol/test_committees.py has them all at once."""

import pytest

from vagus.protocol import QuorumError
from vagus.protocol.agreement import Agreement, Check, Decided, Effect, Propose, Send, Step, Wait
from vagus.protocol.votes import MAX_ROUND, Ballot, Decision, Members, Message, Proposal, Vote

A, B, C, D, STRANGER = (bytes([at]) * 20 for at in range(1, 6))
RED, BLUE = b"r" * 32, b"b" * 32
PREVOTE, PRECOMMIT = Ballot.PREVOTE, Ballot.PRECOMMIT


def member(me: bytes = B, *, votes: int = 3) -> Agreement:
    """One of four, led by A, B, C, D in turn, which has begun."""
    machine = Agreement(Members(me, (A, B, C, D), votes))
    machine.start()
    return machine


def said(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def cast(ballot: Ballot, round_: int, value: bytes | None, *senders: bytes) -> tuple[Vote, ...]:
    return tuple(Vote(sender, round_, ballot, value) for sender in senders)


def hear(machine: Agreement, *messages: Message) -> list[Effect]:
    return [effect for message in messages for effect in machine.receive(message)]


def end_round(machine: Agreement) -> list[Effect]:
    """Nobody agrees on anything, and the last votes' time is over."""
    hear(machine, *cast(PRECOMMIT, machine.round, None, A, C, D))
    return machine.expired(Wait(Step.PRECOMMIT, machine.round))


def locked(value: bytes = RED) -> Agreement:
    """A member that has precommitted a value in round 0, and is in round 1 as its leader."""
    machine = member()
    hear(machine, *cast(PREVOTE, 0, value, A, C, D))
    end_round(machine)
    return machine


def test_a_committee_of_one_decides_what_it_proposes() -> None:
    machine = Agreement(Members(A, (A,), 1))
    assert machine.start() == [Wait(Step.PROPOSE, 0), Propose(0)]
    effects = machine.propose(0, RED)
    assert effects[-1] == Decided(Decision(RED, cast(PRECOMMIT, 0, RED, A)))
    assert machine.standing() == (Decision(RED, cast(PRECOMMIT, 0, RED, A)),)


def test_a_value_is_prevoted_once_it_is_found_right() -> None:
    machine = member()
    assert hear(machine, Proposal(A, 0, RED)) == [Check(RED)]
    assert said(machine.checked(RED, right=True)) == [Vote(B, 0, PREVOTE, RED)]


def test_a_value_that_is_found_wrong_is_voted_against() -> None:
    machine = member()
    hear(machine, Proposal(A, 0, RED))
    assert said(machine.checked(RED, right=False)) == [Vote(B, 0, PREVOTE, None)]


def test_a_quorum_of_prevotes_is_followed_whatever_was_found() -> None:
    machine = member()
    hear(machine, Proposal(A, 0, RED))
    machine.checked(RED, right=False)
    effects = hear(machine, *cast(PREVOTE, 0, RED, A, C, D))
    proof = cast(PREVOTE, 0, RED, A, C, D)
    assert [e for e in effects if isinstance(e, Send)] == [Send(Vote(B, 0, PRECOMMIT, RED), proof)]


def test_a_quorum_of_precommits_decides_and_is_handed_on() -> None:
    machine = member()
    proof = cast(PRECOMMIT, 0, RED, A, C, D)
    assert hear(machine, *proof)[-1] == Decided(Decision(RED, proof))
    other = member(C)
    assert hear(other, *machine.standing()) == [Decided(Decision(RED, proof))]
    assert hear(other, *cast(PRECOMMIT, 1, BLUE, A, B, D)) == []


def test_without_a_proposal_in_time_nothing_is_voted_for_and_another_leads() -> None:
    machine = member(C)
    assert said(machine.expired(Wait(Step.PROPOSE, 0))) == [Vote(C, 0, PREVOTE, None)]
    effects = hear(machine, *cast(PREVOTE, 0, None, A, B, D))
    assert said(effects) == [Vote(C, 0, PRECOMMIT, None)]
    effects = hear(machine, *cast(PRECOMMIT, 0, None, A, B))
    assert effects == [Wait(Step.PRECOMMIT, 0)]
    assert machine.expired(Wait(Step.PRECOMMIT, 0)) == [Wait(Step.PROPOSE, 1)]
    assert hear(machine, Proposal(B, 1, BLUE)) == [Check(BLUE)]


def test_a_leader_proposes_again_what_a_quorum_has_prevoted() -> None:
    machine = member()
    hear(machine, *cast(PREVOTE, 0, RED, A, C, D))
    effects = end_round(machine)
    again = Proposal(B, 1, RED, 0, cast(PREVOTE, 0, RED, A, C, D))
    assert said(effects) == [again, Vote(B, 1, PREVOTE, RED)]


def test_who_is_locked_votes_against_another_value() -> None:
    machine = locked(RED)
    end_round(machine)
    assert said(hear(machine, Proposal(C, 2, BLUE))) == [Vote(B, 2, PREVOTE, None)]


def test_who_is_locked_follows_newer_prevotes() -> None:
    machine = locked(RED)
    end_round(machine)
    end_round(machine)
    newer = Proposal(D, 3, BLUE, 2, cast(PREVOTE, 2, BLUE, A, C, D))
    assert said(hear(machine, newer)) == [Vote(B, 3, PREVOTE, BLUE)]


def test_who_is_locked_follows_no_older_prevotes() -> None:
    machine = member(D)
    end_round(machine)
    hear(machine, *cast(PREVOTE, 1, RED, A, B, C))
    end_round(machine)
    older = Proposal(C, 2, BLUE, 0, cast(PREVOTE, 0, BLUE, A, B, C))
    assert said(hear(machine, older)) == [Vote(D, 2, PREVOTE, None)]


@pytest.mark.parametrize(
    "proof",
    [
        (),
        cast(PREVOTE, 0, BLUE, A, C),
        cast(PREVOTE, 0, BLUE, A, C, STRANGER),
        cast(PREVOTE, 0, BLUE, A, C, C),
        cast(PREVOTE, 0, RED, A, C, D),
        cast(PRECOMMIT, 0, BLUE, A, C, D),
        cast(PREVOTE, 1, BLUE, A, C, D),
    ],
)
def test_a_proposal_without_its_prevotes_is_dropped(proof: tuple[Vote, ...]) -> None:
    machine = member(D)
    end_round(machine)
    assert hear(machine, Proposal(B, 1, BLUE, 0, proof)) == []


@pytest.mark.parametrize("since", [1, 2, -2])
def test_a_proposal_of_a_value_of_no_earlier_round_is_dropped(since: int) -> None:
    machine = member(D)
    end_round(machine)
    proof = cast(PREVOTE, since, BLUE, A, B, C)
    assert hear(machine, Proposal(B, 1, BLUE, since, proof)) == []


@pytest.mark.parametrize(
    "proof",
    [
        (),
        cast(PRECOMMIT, 0, RED, A, C),
        cast(PRECOMMIT, 0, RED, A, C, C),
        cast(PRECOMMIT, 0, RED, A, C, STRANGER),
        cast(PRECOMMIT, 0, BLUE, A, C, D),
        cast(PREVOTE, 0, RED, A, C, D),
        (*cast(PRECOMMIT, 0, RED, A, C), *cast(PRECOMMIT, 1, RED, D)),
    ],
)
def test_a_decision_without_its_precommits_is_dropped(proof: tuple[Vote, ...]) -> None:
    machine = member()
    assert hear(machine, Decision(RED, proof)) == []
    assert machine.decision is None


def test_only_the_leader_proposes_and_only_its_first_proposal_counts() -> None:
    machine = member()
    assert hear(machine, Proposal(C, 0, BLUE)) == []
    assert hear(machine, Proposal(A, 0, RED), Proposal(A, 0, BLUE)) == [Check(RED)]


def test_a_member_votes_once_however_often_it_says_another_thing() -> None:
    machine = member()
    hear(machine, *cast(PRECOMMIT, 0, BLUE, D), *cast(PRECOMMIT, 0, RED, A, C, D, D, D))
    assert machine.decision is None


def test_a_stranger_has_no_vote() -> None:
    machine = member()
    hear(machine, *cast(PRECOMMIT, 0, RED, A, C, STRANGER))
    assert machine.decision is None


def test_more_members_than_can_be_faulty_are_followed_to_their_round() -> None:
    machine = member()
    assert hear(machine, *cast(PREVOTE, 7, None, D)) == []
    assert hear(machine, *cast(PREVOTE, 6, None, A)) == [Wait(Step.PROPOSE, 6)]
    assert machine.round == 6


def test_no_message_of_a_round_that_never_comes_is_kept() -> None:
    machine = member()
    for round_ in (-1, MAX_ROUND + 1, 2**64):
        assert hear(machine, *cast(PREVOTE, round_, None, A, C, D)) == []
    assert machine.round == 0


def test_what_ended_a_round_is_sent_again_for_those_who_are_still_there() -> None:
    machine = member(C)
    end_round(machine)
    behind = member(B)
    effects = hear(behind, *machine.standing())
    assert Wait(Step.PRECOMMIT, 0) in effects


def test_after_a_restart_nothing_else_is_voted() -> None:
    journal = [Send(Vote(B, 0, PREVOTE, RED))]
    machine = Agreement(Members(B, (A, B, C, D), 3))
    machine.restore(journal)
    assert machine.start() == []
    assert machine.standing() == (Vote(B, 0, PREVOTE, RED),)
    assert hear(machine, Proposal(A, 0, BLUE)) == []
    assert machine.expired(Wait(Step.PROPOSE, 0)) == []


def test_after_a_restart_a_leader_proposes_nothing_else() -> None:
    machine = Agreement(Members(A, (A, B, C, D), 3))
    machine.restore([Send(Proposal(A, 0, RED))])
    effects = machine.start()
    assert said(effects) == [Vote(A, 0, PREVOTE, RED)]
    assert machine.propose(0, BLUE) == []
    assert Proposal(A, 0, RED) in machine.standing()


def test_after_a_restart_a_lock_holds_and_is_proven() -> None:
    proof = cast(PREVOTE, 0, RED, A, C, D)
    machine = Agreement(Members(B, (A, B, C, D), 3))
    machine.restore([Send(Vote(B, 0, PRECOMMIT, RED), proof)])
    machine.start()
    assert said(end_round(machine))[0] == Proposal(B, 1, RED, 0, proof)
    end_round(machine)
    assert said(hear(machine, Proposal(C, 2, BLUE))) == [Vote(B, 2, PREVOTE, None)]


@pytest.mark.parametrize(
    ("size", "votes", "faulty"),
    [(1, 1, 0), (3, 2, 0), (4, 3, 1), (7, 5, 2), (4, 4, 0), (32, 17, 1), (32, 22, 10)],
)
def test_how_many_liars_a_quorum_stands(size: int, votes: int, faulty: int) -> None:
    names = tuple(bytes([at + 1]) * 20 for at in range(size))
    members = Members(names[0], names, votes)
    assert members.faulty == faulty
    # Two quorums share an honest member, and the honest are a quorum; with one liar more, not both.
    assert 2 * votes - size > faulty
    assert size - faulty >= votes
    assert not (2 * votes - size > faulty + 1 and size - faulty - 1 >= votes)


@pytest.mark.parametrize(
    ("me", "leaders", "votes"),
    [(A, (A, B, C, D), 2), (A, (A, B), 3), (A, (B, C), 2), (A, (A, B, B), 2), (A, (A,), 0)],
)
def test_what_is_no_quorum_is_refused(me: bytes, leaders: tuple[bytes, ...], votes: int) -> None:
    with pytest.raises(QuorumError):
        Members(me, leaders, votes)
