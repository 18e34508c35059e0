"""Canaries: whom they ask what, what they conclude, what they cost."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from support.backends import Ready
from support.gguf import disturbed
from support.virtual_time import in_virtual_time
from vagus.compute import (
    Answer,
    Backend,
    BackendConfig,
    Barred,
    Completion,
    Message,
    Model,
    Price,
    PriceConfig,
    Rescored,
    Times,
    Usage,
)
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.compute.routing import Router, Served, Try
from vagus.compute.routing.canary import SOON, Canaries, CanaryConfig
from vagus.compute.routing.copies import KEPT, Copies
from vagus.compute.routing.daily import Daily
from vagus.compute.routing.judged import NEW, PARDON, SILENT, Judged
from vagus.compute.routing.questions import question
from vagus.daemon.fetch import model_path
from vagus.protocol import Refuse, Retry

MODEL = Model("sold")
Script = Callable[[Completion], Answer]


def said(text: str, ids: tuple[int, ...] = (), finish: str = "stop") -> Answer:
    written = len(ids) or 3
    return Answer(text, (), Usage(10, written), finish, "sold", Times(0, None, 0.1), ids)


class Scripted(Ready):
    """Answers by a function, and rescores by what it would have answered itself."""

    def __init__(
        self,
        name: str,
        script: Script,
        *,
        rescores: bool = False,
        model: Model = MODEL,
        price: str = "0",
    ) -> None:
        super().__init__(BackendConfig(kind="scripted", name=name, price=PriceConfig(output=price)))  # type: ignore[arg-type]  # pydantic reads it
        self.rescores = rescores  # type: ignore[misc]
        self.asked: list[Completion] = []
        self._script = script
        self._model = model
        self._price = Price(output=PriceConfig.model_validate({"output": price}).output)

    async def models(self) -> tuple[Model, ...]:
        return (self._model,)

    def price(self, model: Model) -> Price:
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        self.asked.append(request)
        return self._script(request)

    async def rescore(
        self, request: Completion, tokens: Sequence[int], *, timeout: float
    ) -> Rescored:
        own = self._script(request)
        if tuple(tokens) != own.ids[: len(tokens)]:
            raise Refuse("a token of the answer is none of the 64 likeliest")
        return Rescored(own.text, tuple(0.0 for _ in tokens), 10, own.finish_reason == "stop")


def right(request: Completion) -> Answer:
    text = request.messages[-1].content[::-1]
    return said(text, tuple(ord(each) for each in text[:40]))


def wrong(request: Completion) -> Answer:
    return said("I am another model.", (1, 2, 3))


def failing(request: Completion) -> Answer:
    raise Retry("HTTP 500")


def asked(text: str = "hello there", **changes: Any) -> Completion:
    return Completion(model=MODEL, messages=(Message("user", text),), max_tokens=40, **changes)


def served(*tried: str, price: Price | None = None) -> Served:
    backend = Scripted(tried[-1], right)
    tries = tuple(Try(each, "answered", 0.1) for each in tried)
    return Served(said("x"), backend, price or Price(), tries)


def canaries(*backends: Backend, spend: int | None = None) -> tuple[Canaries, Router]:
    router = Router(clock=lambda: 0.0)
    config = CanaryConfig(trusted="trusted", spend=spend)
    return Canaries(config, router, backends, random.Random(1)), router


def used(found: Canaries, backend: Backend, model: Model = MODEL) -> Judged:
    """Have a backend answer somebody, at its price; nothing of that can be copied."""
    before = found.judged(backend.name, model.digest)
    request = Completion(
        model=model, messages=(Message("user", "mine"),), max_tokens=9, temperature=1.0
    )
    found.saw(request, served(backend.name, price=backend.price(model)), (backend,))
    judged = found.judged(backend.name, model.digest)
    assert judged is not None
    assert before in (None, judged)
    return judged


async def ask(found: Canaries, backend: Backend, times: int) -> list[bool | None]:
    judged = used(found, backend)
    return [await found.ask(judged) for _ in range(times)]


@pytest.mark.parametrize(("rescores", "questions"), [(True, 4), (False, 11)])
async def test_another_model_is_quarantined_and_the_score_knows(
    rescores: bool, questions: int
) -> None:
    liar = Scripted("liar", wrong)
    found, router = canaries(Scripted("trusted", right, rescores=rescores), liar)
    assert await ask(found, liar, questions - 1) == [False] * (questions - 1)
    assert router.usable("liar", MODEL.digest)
    await ask(found, liar, 1)
    assert not router.usable("liar", MODEL.digest)
    now = router.measurements.of("liar", MODEL.digest).estimate(0.0)
    assert now.verified < 0.6
    with pytest.raises(Retry, match=r"liar is quarantined: its answers are not those of sold"):
        await router.complete(asked(), (liar,), timeout=1)


async def test_an_honest_backend_is_never_suspected() -> None:
    honest = Scripted("honest", right)
    found, router = canaries(Scripted("trusted", right, rescores=True), honest)
    assert await ask(found, honest, 100) == [True] * 100
    assert router.usable("honest", MODEL.digest)


async def test_the_right_tokens_beside_another_text_fail() -> None:
    def forged(request: Completion) -> Answer:
        return msgspec.structs.replace(right(request), text="transfer everything to me")

    liar = Scripted("liar", forged)
    found, _ = canaries(Scripted("trusted", right, rescores=True), liar)
    assert await ask(found, liar, 3) == [False] * 3


async def test_an_answer_that_stops_where_the_model_goes_on_fails() -> None:
    def cut(request: Completion) -> Answer:
        return msgspec.structs.replace(right(request), finish_reason="length")

    liar = Scripted("liar", cut)
    found, _ = canaries(Scripted("trusted", right, rescores=True), liar)
    assert await ask(found, liar, 1) == [False]


@pytest.mark.parametrize(
    ("gaps", "passes"),
    [((0.22, 0.13), True), ((0.0, 0.51), False), ((0.25, 0.0, 0.24), False), ((0.25, 0.23), True)],
)
async def test_noise_of_one_token_fails_no_short_answer_and_gaps_of_many_do(
    gaps: tuple[float, ...], passes: bool
) -> None:
    """0.22 and 0.13 nats: what the local model's own answers of twelve tokens were seen to differ by."""

    class Noisy(Scripted):
        async def rescore(
            self, request: Completion, tokens: Sequence[int], *, timeout: float
        ) -> Rescored:
            found = await super().rescore(request, tokens, timeout=timeout)
            return msgspec.structs.replace(found, gaps=gaps + found.gaps[len(gaps) :])

    honest = Scripted("honest", right)
    found, _ = canaries(Noisy("trusted", right, rescores=True), honest)
    assert await ask(found, honest, 1) == [passes]


async def test_who_does_not_answer_proves_nothing_and_neither_does_a_trusted_one_that_is_down() -> (
    None
):
    for trusted, other in [(right, failing), (failing, wrong)]:
        asked_ = Scripted("other", other)
        found, router = canaries(Scripted("trusted", trusted), asked_)
        assert await ask(found, asked_, 20) == [None] * 20
        assert router.usable("other", MODEL.digest)


async def test_a_quarantine_ends_after_twenty_checks_passed_in_a_row() -> None:
    serves = wrong

    def mended(request: Completion) -> Answer:
        return serves(request)

    backend = Scripted("mended", mended)
    found, router = canaries(Scripted("trusted", right, rescores=True), backend)
    await ask(found, backend, 4)
    assert not router.usable("mended", MODEL.digest)
    serves = right
    await ask(found, backend, PARDON - 1)
    assert not router.usable("mended", MODEL.digest)
    await ask(found, backend, 1)
    assert router.usable("mended", MODEL.digest)
    assert used(found, backend).test.asked == 0


async def test_a_copy_of_traffic_goes_once_to_whoever_was_allowed_to_see_it_and_did_not() -> None:
    trusted, other, third = (Scripted(name, right) for name in ("trusted", "other", "third"))
    found, _ = canaries(trusted, other, third)
    first, second = asked("seen by third", seed=5), asked("not for other", seed=6)
    found.saw(first, served("third"), (trusted, other, third))
    found.saw(second, served("trusted"), (trusted, third))
    for _ in range(2):
        await ask(found, other, 1)
        await ask(found, third, 1)
    assert other.asked[0] == first
    assert third.asked[0] == second
    # What is not a copy is a question made for this one alone.
    for made in (other.asked[1], third.asked[1]):
        assert made not in (first, second)
        assert (made.temperature, made.schema, made.stop) == (0, None, ())


@pytest.mark.parametrize(
    "request_",
    [asked(temperature=0.5), asked(schema={"type": "object"}), asked(stop=("x",))],
    ids=["temperature", "schema", "stop"],
)
async def test_what_can_not_be_checked_is_not_copied(request_: Completion) -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right)
    found, _ = canaries(trusted, other)
    found.saw(request_, served("trusted"), (trusted, other))
    await ask(found, other, 1)
    assert other.asked != [request_]


async def test_what_the_trusted_backend_may_not_see_is_not_copied() -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right)
    found, _ = canaries(trusted, other)
    found.saw(asked(), served("third"), (other, Scripted("third", right)))
    await ask(found, other, 1)
    assert other.asked != [asked()]


async def test_questions_cost_no_more_than_a_days_sum() -> None:
    # 48 tokens at 1,000,000 per 1,000,000 are 48 for each question, 96 with the trusted one's answer.
    trusted = Scripted("trusted", right, price="1000000")
    other = Scripted("other", right, price="1000000")
    found, _ = canaries(trusted, other, spend=96 * 3 + 95)
    assert await ask(found, other, 10) == [True] * 3 + [None] * 7
    assert len(other.asked) == 3


async def test_only_the_model_that_the_trusted_backend_serves_is_checked() -> None:
    other = Scripted("other", right, model=Model("else"))
    found, _ = canaries(Scripted("trusted", right), other)
    assert await found.ask(used(found, other, Model("else"))) is None
    assert other.asked == []


def test_an_unknown_trusted_backend_is_refused_in_words() -> None:
    with pytest.raises(Refuse, match=r"trust 'trusted', which is no backend here; there are: a, b"):
        canaries(Scripted("a", right), Scripted("b", right))


class Hasty(random.Random):
    """Waits for nothing: all that is due is due at once."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 0.0


async def test_who_answered_others_is_asked_soon_and_nobody_else() -> None:
    told = asyncio.Event()

    def tells(request: Completion) -> Answer:
        told.set()
        return right(request)

    trusted, used, idle = (
        Scripted("trusted", right),
        Scripted("used", tells),
        Scripted("idle", right),
    )
    found = Canaries(CanaryConfig(trusted="trusted"), Router(), (trusted, used, idle), Hasty(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run(), name="canaries")
        for _ in range(2):
            found.saw(asked(temperature=1.0), served("used"), (used,))
            async with asyncio.timeout(20):
                await told.wait()
            told.clear()
        task.cancel()
    assert len(used.asked) >= 2
    assert idle.asked == []


async def test_a_new_backend_is_asked_eight_times_without_more_traffic_and_then_not() -> None:
    new, last = Scripted("new", right), Scripted("last", right)
    config = CanaryConfig(trusted="trusted")
    found = Canaries(config, Router(), (Scripted("trusted", right), new, last), Hasty(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run(), name="canaries")
        for backend in (new, last):  # the second one is done after the first
            found.saw(asked(temperature=1.0), served(backend.name), (backend,))
            async with asyncio.timeout(20):
                while len(backend.asked) < NEW:
                    await asyncio.sleep(0)
        task.cancel()
    assert len(new.asked) == NEW


class Hung(Scripted):
    """Never answers what it is told to hang at, whatever the timeout."""

    def __init__(self, name: str, *hangs: str) -> None:
        super().__init__(name, right)
        self.hangs = hangs

    async def models(self) -> tuple[Model, ...]:
        if "models" in self.hangs:
            await asyncio.Event().wait()
        return await super().models()

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        if "complete" in self.hangs:
            await asyncio.Event().wait()
        return await super().complete(request, timeout=timeout)


async def test_who_hangs_keeps_no_other_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.compute.routing.examiner.TIMEOUT", 0.01)
    trusted, last = Hung("trusted"), Scripted("last", right)
    mute, slow = Hung("mute", "models"), Hung("slow", "complete")
    found, router = canaries(trusted, mute, slow, last)
    async with asyncio.timeout(20):
        assert await ask(found, mute, 1) == [True]
        assert await ask(found, slow, 1) == [None]
        assert await ask(found, last, 1) == [True]
        trusted.hangs = ("complete",)
        assert await ask(found, last, 1) == [None]
        trusted.hangs = ("models",)
        before = len(last.asked)
        assert await ask(found, last, 1) == [None]
        assert len(last.asked) == before
    assert router.usable("slow", MODEL.digest)


async def test_a_defect_of_a_backend_ends_no_canaries() -> None:
    told = asyncio.Event()

    def tells(request: Completion) -> Answer:
        told.set()
        return right(request)

    def breaks(request: Completion) -> Answer:
        raise ZeroDivisionError

    class Unlisted(Scripted):
        async def models(self) -> tuple[Model, ...]:
            raise ZeroDivisionError

    broken, last = Scripted("broken", breaks), Scripted("last", tells)
    backends = (Scripted("trusted", right), Unlisted("unlisted", right), broken, last)
    found = Canaries(CanaryConfig(trusted="trusted"), Router(), backends, Hasty(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run(), name="canaries")
        for backend in (broken, last):
            found.saw(asked(temperature=1.0), served(backend.name), (backend,))
        async with asyncio.timeout(20):
            await told.wait()
        task.cancel()
    assert broken.asked


async def test_a_quarantined_backend_goes_on_to_be_asked_unless_that_would_rent_a_machine() -> None:
    for rents in (False, True):
        liar = Scripted("liar", wrong)
        liar.rents = rents
        told = asyncio.Event()

        def tells(request: Completion, told: asyncio.Event = told) -> Answer:
            told.set()
            return right(request)

        trusted, last = Scripted("trusted", right, rescores=True), Scripted("last", tells)
        config = CanaryConfig(trusted="trusted")
        found = Canaries(config, Router(), (trusted, liar, last), Hasty(1))
        await ask(found, liar, 4)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(found.run(), name="canaries")
            found.saw(asked(temperature=1.0), served("last"), (last,))
            async with asyncio.timeout(20):
                await told.wait()
            task.cancel()
        assert (len(liar.asked) > 4) is not rents


async def test_each_quarantine_takes_twice_as_many_passed_checks_to_end_as_the_one_before() -> None:
    serves = wrong

    def fickle(request: Completion) -> Answer:
        return serves(request)

    backend = Scripted("fickle", fickle)
    found, router = canaries(Scripted("trusted", right, rescores=True), backend)
    for pardon in (PARDON, 2 * PARDON, 4 * PARDON):
        serves = wrong
        await ask(found, backend, 4)
        assert not router.usable("fickle", MODEL.digest)
        serves = right
        await ask(found, backend, pardon - 1)
        assert not router.usable("fickle", MODEL.digest)
        await ask(found, backend, 1)
        assert router.usable("fickle", MODEL.digest)


async def test_who_is_let_in_by_an_operator_and_lies_again_is_quarantined_again() -> None:
    liar = Scripted("liar", wrong)
    found, router = canaries(Scripted("trusted", right, rescores=True), liar)
    await ask(found, liar, 4)
    assert router.release("liar", MODEL.digest)
    await ask(found, liar, 3)
    assert router.usable("liar", MODEL.digest)
    await ask(found, liar, 1)
    assert not router.usable("liar", MODEL.digest)


@pytest.mark.parametrize(
    "silence",
    [
        Retry("HTTP 500"),
        Barred("HTTP 403"),
        Refuse("HTTP 400"),
        TimeoutError(),
        ZeroDivisionError(),
    ],
)
async def test_who_answers_others_and_no_canary_is_quarantined(silence: Exception) -> None:
    def mute(request: Completion) -> Answer:
        raise silence

    backend = Scripted("mute", mute)
    found, router = canaries(Scripted("trusted", right, rescores=True), backend)
    for at in range(SILENT):
        assert router.usable("mute", MODEL.digest), at
        assert await ask(found, backend, 1) == [None]
    assert not router.usable("mute", MODEL.digest)
    # It is asked the same until it answers, but for what it says no to.
    assert len({each.seed for each in backend.asked}) == (SILENT if type(silence) is Refuse else 1)


async def test_who_fails_what_a_stranger_chose_to_ask_is_not_quarantined_for_it() -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", failing)
    found, router = canaries(trusted, other)
    for number in range(2 * SILENT):
        found.saw(asked(f"poison {number}"), served("trusted"), (trusted, other))
        assert await ask(found, other, 1) == [None]
    assert len({each.messages for each in other.asked}) == 2 * SILENT
    assert router.usable("other", MODEL.digest)


async def test_who_is_quarantined_can_not_choose_the_questions_that_let_it_in() -> None:
    serves = wrong

    def choosing(request: Completion) -> Answer:
        return serves(request)

    liar = Scripted("liar", choosing)
    found, router = canaries(Scripted("trusted", right, rescores=True), liar)
    await ask(found, liar, 4)
    for script, times in ((right, PARDON - 1), (failing, 1), (right, PARDON - 1)):
        serves = script
        await ask(found, liar, times)
        assert not router.usable("liar", MODEL.digest)
    await ask(found, liar, 1)
    assert router.usable("liar", MODEL.digest)


async def test_a_prompt_that_a_backend_has_seen_in_another_call_is_not_copied_to_it() -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right)
    found, _ = canaries(trusted, other)
    both = (trusted, other)
    found.saw(asked("twice", seed=1), served("trusted"), both)
    found.saw(asked("twice", seed=2, temperature=1.0), served("other"), both)
    found.saw(asked("asked and asked again"), served("trusted"), both)
    await ask(found, other, 1)
    found.saw(asked("asked and asked again", seed=3), served("trusted"), both)
    await ask(found, other, 2)
    assert [each.messages[0].content == "asked and asked again" for each in other.asked] == [
        True,
        False,
        False,
    ]
    assert not any(each.messages[0].content == "twice" for each in other.asked)


@pytest.mark.parametrize("changes", [{"max_tokens": 513}, {"text": "x" * 2049}])
async def test_what_would_cost_a_check_much_is_not_copied(changes: dict[str, Any]) -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right)
    found, _ = canaries(trusted, other)
    text = changes.pop("text", "short")
    request = msgspec.structs.replace(asked(text), **changes)
    found.saw(request, served("trusted"), (trusted, other))
    await ask(found, other, 1)
    assert other.asked != [request]


def test_what_is_kept_to_be_copied_is_bounded_and_the_oldest_goes_first() -> None:
    copies = Copies(random.Random(1))
    for number in range(KEPT + 1):
        copies.saw(asked(f"question {number}"), {"other"}, set())
    drawn = {copies.draw("other", MODEL) for _ in range(KEPT)}
    assert drawn == {asked(f"question {number}") for number in range(1, KEPT + 1)}
    assert copies.draw("other", MODEL) is None


def test_a_days_sum_is_of_any_24_hours() -> None:
    daily = Daily(10)
    assert daily.reserve(6, 0.0)
    assert daily.reserve(4, 3600.0)
    assert not daily.reserve(1, 86399.0)
    assert daily.reserve(6, 86400.0)
    assert not daily.reserve(1, 86401.0)
    assert daily.reserve(4, 90000.0)


async def test_who_asks_much_more_than_it_asked_of_others_is_not_paid_for_questions() -> None:
    other = Scripted("other", right, price="2.01")
    found, _ = canaries(Scripted("trusted", right), other)
    for paid, expected in (("1", None), ("1.01", True)):
        price = Price(output=PriceConfig.model_validate({"output": paid}).output)
        found.saw(asked(temperature=1.0), served("other", price=price), (other,))
        judged = found.judged("other", MODEL.digest)
        assert judged is not None
        assert await found.ask(judged) is expected


async def test_whom_the_router_leaves_alone_is_asked_nothing() -> None:
    other = Scripted("other", right)
    found, router = canaries(Scripted("trusted", right), other)
    router.measurements.of("other", MODEL.digest).breaker.barred(0.0, "HTTP 402")
    assert await ask(found, other, 3) == [None] * 3
    assert other.asked == []


async def test_a_backend_that_keeps_a_question_waiting_delays_no_other() -> None:
    slow, last = Hung("slow", "complete"), Scripted("last", right)
    config = CanaryConfig(trusted="trusted")
    found = Canaries(config, Router(), (Scripted("trusted", right), slow, last), Hasty(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run(), name="canaries")
        used(found, slow)
        used(found, last)
        async with asyncio.timeout(20):
            while len(last.asked) < NEW:
                await asyncio.sleep(0)
        task.cancel()


async def test_a_backend_that_cancels_what_asks_it_ends_no_canaries() -> None:
    def cancels(request: Completion) -> Answer:
        raise asyncio.CancelledError

    odd, last = Scripted("odd", cancels), Scripted("last", right)
    config = CanaryConfig(trusted="trusted")
    found = Canaries(config, Router(), (Scripted("trusted", right), odd, last), Hasty(1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run(), name="canaries")
        used(found, odd)
        async with asyncio.timeout(20):
            while not odd.asked:
                await asyncio.sleep(0)
            used(found, last)
            while len(last.asked) < NEW:
                await asyncio.sleep(0)
        task.cancel()


class Later(random.Random):
    """Asks a second after an answer, and again a hundred seconds later."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 1.0 if lambd == 1 / SOON else 100.0


def test_who_was_used_is_asked_seconds_later_and_not_when_others_are() -> None:
    """Else a question would come in its quiet hour, and a machine be rented for one."""

    async def live() -> None:
        loop = asyncio.get_running_loop()
        began, times = loop.time(), list[float]()

        def told(request: Completion) -> Answer:
            times.append(loop.time() - began)
            return right(request)

        quiet, busy = Scripted("quiet", told), Scripted("busy", right)
        quiet.rents = True
        config = CanaryConfig(trusted="trusted")
        found = Canaries(config, Router(), (Scripted("trusted", right), quiet, busy), Later(1))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(found.run(), name="canaries")
            used(found, quiet)
            await asyncio.sleep(10)
            used(found, quiet)  # it was asked a while ago only
            for _ in range(20):
                await asyncio.sleep(10)
                used(found, busy)
            used(found, quiet)
            await asyncio.sleep(10)
            task.cancel()
        assert times == pytest.approx([1, 211])

    in_virtual_time(live())


def test_questions_are_made_of_their_seed_and_differ() -> None:
    made = [question(MODEL, seed, 48) for seed in range(500)]
    assert made == [question(MODEL, seed, 48) for seed in range(500)]
    assert len({each.messages[0].content for each in made}) > 480


class Liar(Ready):
    """A backend that sells the trusted model, and serves another."""

    def __init__(self, name: str, sold: Model, serves: LocalBackend) -> None:
        super().__init__(BackendConfig(kind="liar", name=name))
        self._sold, self._serves = sold, serves

    async def models(self) -> tuple[Model, ...]:
        return (self._sold,)

    def price(self, model: Model) -> Price:
        return Price()

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        (served,) = await self._serves.models()
        own = msgspec.structs.replace(request, model=served)
        return await self._serves.complete(own, timeout=timeout)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def swapped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalBackend]:
    """The local model with some tensors disturbed."""
    path = disturbed(model_path(), tmp_path_factory.mktemp("swapped") / "other.gguf", "ffn_down")
    async with LocalBackend(LocalConfig(model_path=path)) as backend:
        yield backend


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-compute")
async def test_a_swapped_model_is_told_from_the_real_one(
    local_model: LocalBackend, swapped: LocalBackend
) -> None:
    (sold,) = await local_model.models()
    liar, honest = Liar("liar", sold, swapped), Liar("honest", sold, local_model)
    router = Router()
    config = CanaryConfig(trusted=local_model.name)
    found = Canaries(config, router, (local_model, liar, honest), random.Random(3))
    for number in range(4):
        short = Completion(
            model=sold, messages=(Message("user", f"What is {number}?"),), max_tokens=12, ids=True
        )
        found.saw(short, served(local_model.name), (local_model, liar, honest))
    for _ in range(4):
        for each in (liar, honest):
            await found.ask(used(found, each, sold))
    assert not router.usable("liar", sold.digest)
    assert router.usable("honest", sold.digest)
    assert used(found, honest, sold).test.suspicion == 0
