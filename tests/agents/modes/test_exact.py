"""exact: a member's own run must have the same bytes of the same model."""

from typing import Any

import pytest

from support.agents import Written
from support.modes import check_context, intent_of, result_of, said
from vagus.agents import Route
from vagus.agents.builtin.chat import Chat
from vagus.agents.modes import Result, mode_of
from vagus.compute import Model

PAYLOAD = b'{"prompt":"Name a colour."}'


def route(text: str, model: str = "written") -> Route:
    return Route(Written(lambda _: text), Model(model))


async def chat(text: str, model: str = "written") -> Result:
    return await result_of(Chat(), PAYLOAD, route=route(text, model))


async def verdict(own: Result | None, proposed: Result, **context: Any) -> tuple[bool, str]:
    agent = Chat()
    found = await mode_of(agent.manifest).check(
        check_context(agent, PAYLOAD, **context), own, proposed
    )
    return found.right, found.reason


async def test_the_same_answer_of_the_same_model_is_right() -> None:
    assert (await verdict(await chat("Blue."), await chat("Blue.")))[0]


async def test_another_answer_is_wrong() -> None:
    assert await verdict(await chat("Blue."), await chat("Blue")) == (
        False,
        "this node's own run has another output",
    )


async def test_the_same_answer_of_another_model_is_wrong() -> None:
    right, reason = await verdict(await chat("Blue."), await chat("Blue.", "other"))
    assert (right, "another model" in reason) == (False, True)


async def test_a_member_without_a_result_of_its_own_confirms_nothing() -> None:
    right, reason = await verdict(None, await chat("Blue."))
    assert (right, "no result of its own" in reason) == (False, True)


async def test_the_model_must_be_the_one_that_the_intent_pins() -> None:
    agent = Chat()
    for pinned, right in ((Model("written"), True), (Model("other"), False)):
        intent = intent_of(agent, PAYLOAD, model_digest=pinned.digest)
        own = await result_of(agent, PAYLOAD, route=route("Blue."), intent=intent)
        assert (await verdict(own, own, intent=intent))[0] is right


@pytest.mark.parametrize("mode", ["exact", "collect"])
def test_a_mode_without_parameters_takes_none(mode: str) -> None:
    from vagus.protocol import Refuse

    with pytest.raises(Refuse, match="'tolerance': the mode knows none of this name"):
        mode_of(said(mode=mode, tolerance="1").manifest)
