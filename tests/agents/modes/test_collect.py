"""collect and jury: every member's own answer counts, and is in the outcome unchanged."""

import json
from typing import Any

import pytest
import rfc8785
from eth_utils import keccak
from pydantic import BaseModel

from support.agents import Written
from support.modes import check_context, members, result_of, said, verifier_of
from vagus.agents import Agent, Context, Route
from vagus.agents.modes import Result, combined, mode_of
from vagus.compute import Message, Model
from vagus.protocol import Refuse


class Opinion(BaseModel):
    """An output with fields."""

    word: str


async def revealed(agent: Agent, *outputs: bytes) -> dict[bytes, Result]:
    return {
        member: await result_of(agent, output=output, executor=member)
        for member, output in zip(members(len(outputs)), outputs, strict=True)
    }


@pytest.mark.parametrize(
    ("output", "said_by", "shown"),
    [
        (str, ["yes", "nein \u20ac"], ["yes", "nein \u20ac"]),
        (bytes, [b"\x00", b"\xff\xfe"], ["0x00", "0xfffe"]),
        (Opinion, [b'{"word":"b"}', b'{"word":"a"}'], [{"word": "b"}, {"word": "a"}]),
    ],
)
async def test_all_answers_are_handed_on_by_their_signers(
    output: Any, said_by: list[Any], shown: list[Any]
) -> None:
    agent = said(output, "collect")
    outputs = [each.encode() if isinstance(each, str) else each for each in said_by]
    made = mode_of(agent.manifest).combine(
        check_context(agent).intent, await revealed(agent, *outputs)
    )
    signers = ["0x" + member.hex() for member in members(len(outputs))]
    assert made == rfc8785.dumps(
        [{"signer": s, "output": o} for s, o in zip(signers, shown, strict=True)]
    )


async def test_an_answer_that_the_agent_cannot_have_given_is_left_out() -> None:
    agent = said(Opinion, "collect")
    intent = check_context(agent).intent
    results = await revealed(agent, b'{"word": "a"}', b"\xff", b'{"word":"c"}')
    made = mode_of(agent.manifest).combine(intent, results)
    assert json.loads(made) == [{"signer": "0x" + "03" * 20, "output": {"word": "c"}}]
    del results[members(3)[2]]
    with pytest.raises(Refuse, match="no member revealed"):
        mode_of(agent.manifest).combine(intent, results)


async def test_answers_that_do_not_fit_together_are_refused_not_cut() -> None:
    agent = said(str, "collect")
    results = await revealed(agent, b"a" * 4096, b"b" * 4096)
    with pytest.raises(Refuse, match="at most 8192 fit"):
        mode_of(agent.manifest).combine(check_context(agent).intent, results)


async def test_each_member_checks_that_its_own_answer_is_there_unchanged() -> None:
    agent = said(str, "collect")
    verifier, intent = mode_of(agent.manifest), check_context(agent).intent
    results = await revealed(agent, b"one", b"two", b"three")
    late = await result_of(agent, output=b"four", executor=members(4)[3])
    proposed = combined(verifier, intent, results, members(1)[0])
    for at, counted in ((1, True), (2, True), (3, False)):
        me = members(4)[at]
        ctx = check_context(agent, member=me, revealed=results)
        found = await verifier.check(ctx, results.get(me, late), proposed)
        assert (found.right, found.measured) == (True, {"results": 3, "counted": counted})
    me = members(2)[1]
    other = await result_of(agent, output=b"TWO", executor=me)
    changed = results | {me: other}
    ctx = check_context(agent, member=me, revealed=changed)
    found = await verifier.check(
        ctx, results[me], combined(verifier, intent, changed, members(1)[0])
    )
    assert (found.right, found.reason) == (False, "what stands for this node's result is another")


async def test_the_evidence_names_each_members_result_by_its_hashes() -> None:
    agent = said(str, "collect")
    results = await revealed(agent, b"one", b"two")
    made = combined(mode_of(agent.manifest), check_context(agent).intent, results, members(1)[0])
    document = json.loads(made.evidence)
    assert document["output_hash"] == "0x" + keccak(made.output).hex()
    assert document["executor"] == "0x" + "01" * 20
    assert document["results"] == [
        {
            "signer": "0x" + member.hex(),
            "output_hash": "0x" + keccak(result.output).hex(),
            "model_digest": "0x" + bytes(32).hex(),
            "evidence_hash": "0x" + keccak(result.evidence).hex(),
        }
        for member, result in results.items()
    ]
    assert rfc8785.dumps(document) == made.evidence


# The jury


class Asking(type(said())):  # type: ignore[misc]
    """Asks its model, so that a vote has one."""

    async def run(self, ctx: Context, value: bytes, /) -> Any:
        return (await ctx.chat([Message("user", "?")], max_tokens=8)).text


def juror(**parameters: Any) -> Agent:
    agent = said(str, "jury", **parameters)
    return type("Juror", (Asking,), {"Output": str, "mode": agent.mode, "encode": _encode})()


def _encode(self: Agent, output: str) -> bytes:
    return output.encode()


async def verdict(agent: Agent, *votes: tuple[str, str]) -> bytes:
    results = {}
    for member, (model, vote) in zip(members(len(votes)), votes, strict=True):
        route = Route(Written(lambda _, vote=vote: vote), Model(model))
        results[member] = await result_of(agent, b"?", executor=member, route=route)
    return mode_of(agent.manifest).combine(check_context(agent, b"?").intent, results)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (["yes", "yes", "no"], "yes"),
        (["no", "yes", "no"], "no"),
        (["yes", "yes", "pass", "pass"], "yes"),
        (["yes", "yes", "no", "pass"], "yes"),
        (["yes", "yes"], "yes"),
    ],
)
async def test_more_than_half_of_those_who_vote_decide(votes: list[str], expected: str) -> None:
    ballots = [(f"model-{at}", vote) for at, vote in enumerate(votes)]
    assert await verdict(juror(abstain="pass"), *ballots) == expected.encode()


@pytest.mark.parametrize(
    ("parameters", "votes", "why"),
    [
        ({}, [("a", "yes"), ("b", "no")], "hung: at most 1 of 2"),
        ({}, [("a", "x"), ("b", "x"), ("c", "y"), ("d", "z")], "hung: at most 2 of 4"),
        ({"abstain": "pass"}, [("a", "yes"), ("b", "pass"), ("c", "pass")], "1 of the jury voted"),
        ({"minimum": 3}, [("a", "yes"), ("b", "yes")], "2 of the jury voted, 3 are needed"),
        ({}, [("a", "yes"), ("a", "yes"), ("a", "yes")], "1 models voted, 2 different"),
        ({"models": 3}, [("a", "yes"), ("a", "yes"), ("b", "yes")], "2 models voted, 3"),
        (
            {"abstain": "pass"},
            [("a", "yes"), ("a", "yes"), ("b", "pass")],
            "1 models voted, 2 different",
        ),
    ],
)
async def test_a_jury_that_is_hung_too_small_or_of_one_mind_gives_no_verdict(
    parameters: dict[str, Any], votes: list[tuple[str, str]], why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        await verdict(juror(**parameters), *votes)


async def test_a_jury_may_be_of_one_model_where_the_agent_says_so() -> None:
    votes = [("a", "yes"), ("a", "yes"), ("a", "no")]
    assert await verdict(juror(models=1), *votes) == b"yes"


@pytest.mark.parametrize(
    ("output", "parameters", "why"),
    [
        (str, {"minimum": 0}, "'minimum': it must be 1 to 32"),
        (str, {"minimum": True}, "'minimum': it must be of type int"),
        (str, {"minimum": "2"}, "'minimum': it must be of type int"),
        (str, {"models": 33}, "'models': it must be 0 to 32"),
        (str, {"abstain": 1}, "'abstain': it must be of type str"),
        (bytes, {"abstain": "pass"}, "'abstain': it must be 0x and hex digits"),
        (str, {"quorum": 2}, "'quorum': the mode knows none of this name"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    output: Any, parameters: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        verifier_of(output, "jury", **parameters)
