"""What the node may rely on, whatever an agent does."""

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ConfigDict

import vagus.agents
from support.backends import Ready
from support.fleet import MODEL
from support.fleet import Scripted as Hanging
from support.virtual_time import in_virtual_time
from vagus.agents import Agent, Budget, Context, Mode, Route, execute
from vagus.compute import (
    Answer,
    Backend,
    BackendConfig,
    Completion,
    Message,
    Model,
    Price,
    Times,
    Usage,
)
from vagus.compute.routing import Router, Tuning
from vagus.protocol import Halt, Refuse, Retry

CANARY = "canary-77ab"


class Word(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str
    count: int


class Scripted(Agent):
    """Does what its test says."""

    name = "scripted"
    version = "2.3.4"
    Input = bytes
    Output: Any = bytes
    mode = Mode(name="exact")

    async def run(self, ctx: Context, value: bytes, /) -> Any:
        return value


class Paid(Ready):
    """Answers at once, at a price, with the usage it is told to claim."""

    def __init__(self, price: Price, usage: Usage) -> None:
        super().__init__(BackendConfig(kind="paid", name="paid"))
        self._price, self._usage = price, usage
        self.asked: list[Completion] = []
        self.fail = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def models(self) -> tuple[Model, ...]:
        return (Model("m"),)

    def price(self, model: Model) -> Price:
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        self.asked.append(request)
        await self.hold.wait()
        if self.fail:
            raise Retry("down")
        return Answer("ok", (), self._usage, "stop", "m", Times(0, None, 0))


def context(backend: Backend | None = None, seconds: float = 30, **more: Any) -> Context:
    return Context(
        intent_id=b"\x07" * 32,
        agent_id="scripted@2",
        route=None if backend is None else Route(backend, Model("m")),
        deadline=asyncio.get_running_loop().time() + seconds,
        **{"budget": Budget(), **more},
    )


def agent_that(does: Any, output: Any = bytes) -> Agent:
    class Made(Scripted):
        Output = output

        async def run(self, ctx: Context, value: bytes, /) -> Any:
            return await does(ctx, value)

    return Made()


async def test_bytes_pass_as_they_are() -> None:
    assert await execute(Scripted(), context(), b"\xff\x00") == b"\xff\x00"
    with pytest.raises(Refuse, match="8193 bytes"):
        await execute(Scripted(), context(), bytes(8193))


async def test_a_model_output_is_rfc_8785_json() -> None:
    async def does(ctx: Context, payload: bytes) -> Word:
        return Word(word="\u20ac", count=3)

    assert (
        await execute(agent_that(does, Word), context(), b"") == '{"count":3,"word":"€"}'.encode()
    )


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (bytes, bytes(8193)),
        (str, "é" * 4097),
        (str, "\ud800"),
        (str, b"bytes"),
        (str, None),
        (bytes, "text"),
        (Word, {"word": "a", "count": 1}),
        (Word, Word(word="a", count=1 << 60)),
        (Word, Word.model_construct(word="\ud800", count=1)),
    ],
)
async def test_an_output_that_cannot_be_signed_is_refused(output: Any, value: Any) -> None:
    async def does(ctx: Context, payload: bytes) -> Any:
        return value

    with pytest.raises(Refuse):
        await execute(agent_that(does, output), context(), b"")


@pytest.mark.parametrize("error", [Retry("later", 3), Refuse("no"), Halt("eip155:1", "stop")])
async def test_an_agents_own_word_passes(error: Exception) -> None:
    async def does(ctx: Context, payload: bytes) -> bytes:
        raise error

    with pytest.raises(type(error)) as caught:
        await execute(agent_that(does), context(), b"")
    assert caught.value is error


@pytest.mark.parametrize(
    ("errors", "word"),
    [
        ([Retry("later", 3)], Retry),
        ([Retry("later"), Refuse("no"), Retry("later")], Refuse),
        ([Refuse("no"), Halt("eip155:1", "stop")], Halt),
        ([ExceptionGroup("inner", [Retry("later")]), Retry("later")], Retry),
    ],
)
async def test_the_gravest_word_of_an_agents_tasks_passes(
    errors: list[Exception], word: type[Exception]
) -> None:
    async def does(ctx: Context, payload: bytes) -> bytes:
        raise ExceptionGroup("tasks", errors)

    with pytest.raises(word):
        await execute(agent_that(does), context(), b"")


async def test_a_defect_in_one_of_an_agents_tasks_is_a_defect() -> None:
    async def does(ctx: Context, payload: bytes) -> bytes:
        raise ExceptionGroup(CANARY, [Retry("later"), ValueError(CANARY)])

    with structlog.testing.capture_logs() as logs, pytest.raises(Refuse) as caught:
        await execute(agent_that(does), context(), b"")
    assert caught.value.reason == "scripted@2 failed: ExceptionGroup"
    assert CANARY not in repr(logs)


@pytest.mark.parametrize(
    "error",
    [ValueError(CANARY), KeyError(CANARY), RecursionError(CANARY), OSError(CANARY), MemoryError()],
)
async def test_a_defect_is_a_refuse_that_quotes_nothing(error: Exception) -> None:
    async def does(ctx: Context, payload: bytes) -> bytes:
        raise error

    with structlog.testing.capture_logs() as logs, pytest.raises(Refuse) as caught:
        await execute(agent_that(does), context(), CANARY.encode())
    assert caught.value.reason == f"scripted@2 failed: {type(error).__name__}"
    assert logs[0]["event"] == "agent failed"
    assert logs[0]["intent"] == "0x" + "07" * 32
    assert CANARY not in repr(logs) + repr(caught.value)


async def test_an_agent_that_hangs_ends_at_its_deadline() -> None:
    async def does(ctx: Context, payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(Retry, match="time"):
        await execute(agent_that(does), context(seconds=0.05), b"")


async def test_cancelling_a_run_cancels_the_agent() -> None:
    ended, begun = asyncio.Event(), asyncio.Event()

    async def does(ctx: Context, payload: bytes) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    run = asyncio.create_task(execute(agent_that(does), context(), b""))
    await begun.wait()
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    assert ended.is_set()


# The context

HELLO = [Message("user", "Hello")]


async def test_seeds_follow_from_the_intent_and_differ_by_call() -> None:
    backend = Paid(Price(), Usage(1, 1))
    for _ in range(2):
        ctx = context(backend)
        await ctx.chat(HELLO, max_tokens=4)
        await ctx.chat(HELLO, max_tokens=4)
    seeds = [request.seed for request in backend.asked]
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


async def test_a_call_gets_the_time_that_is_left() -> None:
    backend = Paid(Price(), Usage(1, 1))
    assert 29 < context(backend).remaining() <= 30
    over = context(backend, seconds=-1)
    assert over.remaining() == 0
    with pytest.raises(Retry, match="over"):
        await over.chat(HELLO, max_tokens=1)
    assert backend.asked == []


async def test_a_run_without_a_model_refuses_to_ask_one() -> None:
    with pytest.raises(Refuse, match="none was routed"):
        await context().chat(HELLO, max_tokens=1)


async def test_what_calls_cost_is_counted_and_held() -> None:
    backend = Paid(Price(Decimal(10**6), Decimal(10**6)), Usage(10, 5))
    # The worst case of a call: 5 bytes, 1,024 tokens of template, 8 of answer.
    ctx = context(backend, budget=Budget(spend=1037 + 14))
    await ctx.chat(HELLO, max_tokens=8)
    assert ctx.spent == 15
    with pytest.raises(Refuse, match="budget of 1051"):
        await ctx.chat(HELLO, max_tokens=8)
    await ctx.chat(HELLO, max_tokens=7)
    assert ctx.spent == 30
    assert len(backend.asked) == 2


async def test_parallel_calls_cannot_pass_the_budget_together() -> None:
    backend = Paid(Price(), Usage(1, 6))
    backend.hold.clear()
    ctx = context(backend, budget=Budget(max_tokens=10))
    first = asyncio.create_task(ctx.chat(HELLO, max_tokens=6))
    await asyncio.sleep(0)
    with pytest.raises(Refuse, match="10 tokens"):
        await ctx.chat(HELLO, max_tokens=6)
    backend.hold.set()
    await first


async def test_a_failed_call_gives_its_budget_back() -> None:
    backend = Paid(Price(), Usage(1, 6))
    ctx = context(backend, budget=Budget(max_tokens=6), router=Router(Tuning(tries=1)))
    backend.fail = True
    with pytest.raises(Retry, match="down"):
        await ctx.chat(HELLO, max_tokens=6)
    backend.fail = False
    await ctx.chat(HELLO, max_tokens=6)
    assert len(ctx.calls) == 1


async def test_nothing_that_signs_can_be_reached_from_a_context() -> None:
    ctx = context(Paid(Price(), Usage(1, 1)))
    reachable = {name for name in dir(ctx) if not name.startswith("_")}
    assert reachable == {
        "agent_id", "budget", "calls", "chat", "cite", "deadline", "intent_id", "log", "lost", "model",
        "proofs", "prove", "remaining", "secret", "seed", "sources", "spent", "stream",
    }  # fmt: skip


def test_what_the_package_exports_is_there() -> None:
    assert all(hasattr(vagus.agents, name) for name in vagus.agents.__all__)


def test_what_calls_without_an_answer_may_cost_is_counted_and_in_no_evidence() -> None:
    hanging, up = Hanging("hanging", 1e6), Hanging("up", price=2)

    async def go() -> None:
        ctx = Context(
            intent_id=b"\x07" * 32,
            agent_id="scripted@2",
            route=Route(hanging, MODEL, (up,)),
            deadline=asyncio.get_running_loop().time() + 30,
            budget=Budget(spend=5000),
        )
        answer = await ctx.chat(HELLO, max_tokens=100)
        assert answer.text == "ok"
        [call] = ctx.calls
        assert (call.route, call.tries, call.cost) == (Route(up, MODEL), 2, 40)
        # The first one's worst case: 5 bytes, 1,024 tokens of template, 100 of answer.
        assert (ctx.spent, ctx.lost) == (40, 1129)
        with pytest.raises(Refuse, match="budget of 5000"):
            await ctx.chat(HELLO, max_tokens=3000)

    in_virtual_time(go())


def test_a_stream_goes_on_at_another_backend_before_its_first_piece() -> None:
    down, up = Hanging("down", Retry("down")), Hanging("up", price=2)

    async def go() -> None:
        ctx = Context(
            intent_id=b"\x07" * 32,
            agent_id="scripted@2",
            route=Route(down, MODEL, (up,)),
            deadline=asyncio.get_running_loop().time() + 30,
            budget=Budget(),
        )
        async with contextlib.aclosing(ctx.stream(HELLO, max_tokens=10)) as pieces:
            read = [piece async for piece in pieces]
        assert isinstance(read[-1], Answer)
        [call] = ctx.calls
        assert (call.route.backend, call.tries) == (up, 2)

    in_virtual_time(go())
