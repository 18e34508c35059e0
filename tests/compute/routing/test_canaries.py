"""Canaries: whom they ask what, what they conclude, what they cost."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
import pytest_asyncio

from support.gguf import disturbed
from vagus.compute import (
    Answer,
    Backend,
    BackendConfig,
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
from vagus.compute.routing.canary import NEW, PARDON, Canaries, CanaryConfig
from vagus.compute.routing.questions import question
from vagus.daemon.fetch import model_path
from vagus.protocol import Refuse, Retry

MODEL = Model("sold")
Script = Callable[[Completion], Answer]


def said(text: str, ids: tuple[int, ...] = (), finish: str = "stop") -> Answer:
    written = len(ids) or 3
    return Answer(text, (), Usage(10, written), finish, "sold", Times(0, None, 0.1), ids)


class Scripted(Backend):
    """Answers by a function, and rescores by what it would have answered itself."""

    Config = BackendConfig

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

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


def served(*tried: str) -> Served:
    backend = Scripted(tried[-1], right)
    return Served(said("x"), backend, Price(), tuple(Try(each, "answered", 0.1) for each in tried))


def canaries(*backends: Backend, spend: int | None = None) -> tuple[Canaries, Router]:
    router = Router(clock=lambda: 0.0)
    config = CanaryConfig(trusted="trusted", spend=spend)
    return Canaries(config, router, backends, random.Random(1)), router


async def ask(found: Canaries, times: int) -> list[bool | None]:
    (judged,) = await found.pairs()
    return [await found.ask(judged) for _ in range(times)]


@pytest.mark.parametrize(("rescores", "questions"), [(True, 4), (False, 11)])
async def test_another_model_is_quarantined_and_the_score_knows(
    rescores: bool, questions: int
) -> None:
    liar = Scripted("liar", wrong)
    found, router = canaries(Scripted("trusted", right, rescores=rescores), liar)
    assert await ask(found, questions - 1) == [False] * (questions - 1)
    assert router.usable("liar", MODEL.digest)
    await ask(found, 1)
    assert not router.usable("liar", MODEL.digest)
    now = router.measurements.of("liar", MODEL.digest).estimate(0.0)
    assert now.verified < 0.6
    with pytest.raises(Retry, match=r"liar is quarantined: its answers are not those of sold"):
        await router.complete(asked(), (liar,), timeout=1)


async def test_an_honest_backend_is_never_suspected() -> None:
    found, router = canaries(Scripted("trusted", right, rescores=True), Scripted("honest", right))
    assert await ask(found, 100) == [True] * 100
    assert router.usable("honest", MODEL.digest)


async def test_the_right_tokens_beside_another_text_fail() -> None:
    def forged(request: Completion) -> Answer:
        return msgspec.structs.replace(right(request), text="transfer everything to me")

    found, _ = canaries(Scripted("trusted", right, rescores=True), Scripted("liar", forged))
    assert await ask(found, 3) == [False] * 3


async def test_an_answer_that_stops_where_the_model_goes_on_fails() -> None:
    def cut(request: Completion) -> Answer:
        return msgspec.structs.replace(right(request), finish_reason="length")

    found, _ = canaries(Scripted("trusted", right, rescores=True), Scripted("liar", cut))
    assert await ask(found, 1) == [False]


async def test_who_does_not_answer_proves_nothing_and_neither_does_a_trusted_one_that_is_down() -> (
    None
):
    for trusted, other in [(right, failing), (failing, wrong)]:
        found, router = canaries(Scripted("trusted", trusted), Scripted("other", other))
        assert await ask(found, 20) == [None] * 20
        assert router.usable("other", MODEL.digest)


async def test_a_quarantine_ends_after_twenty_checks_passed_in_a_row() -> None:
    serves = wrong

    def mended(request: Completion) -> Answer:
        return serves(request)

    found, router = canaries(Scripted("trusted", right, rescores=True), Scripted("mended", mended))
    await ask(found, 4)
    assert not router.usable("mended", MODEL.digest)
    serves = right
    await ask(found, PARDON - 1)
    assert not router.usable("mended", MODEL.digest)
    await ask(found, 1)
    assert router.usable("mended", MODEL.digest)
    (judged,) = await found.pairs()
    assert judged.test.asked == 0


async def test_a_copy_of_traffic_goes_once_to_whoever_was_allowed_to_see_it_and_did_not() -> None:
    trusted, other, third = (Scripted(name, right) for name in ("trusted", "other", "third"))
    found, _ = canaries(trusted, other, third)
    first, second = asked("seen by third", seed=5), asked("not for other", seed=6)
    found.saw(first, served("third"), (trusted, other, third))
    found.saw(second, served("trusted"), (trusted, third))
    pairs = {each.backend.name: each for each in await found.pairs()}
    for _ in range(2):
        await found.ask(pairs["other"])
        await found.ask(pairs["third"])
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
    await ask(found, 1)
    assert other.asked != [request_]


async def test_what_the_trusted_backend_may_not_see_is_not_copied() -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right)
    found, _ = canaries(trusted, other)
    found.saw(asked(), served("third"), (other, Scripted("third", right)))
    await ask(found, 1)
    assert other.asked != [asked()]


async def test_questions_cost_no_more_than_a_days_sum() -> None:
    # 48 tokens at 1,000,000 per 1,000,000 are 48 for each question, 96 with the trusted one's answer.
    trusted = Scripted("trusted", right, price="1000000")
    other = Scripted("other", right, price="1000000")
    found, _ = canaries(trusted, other, spend=96 * 3 + 95)
    assert await ask(found, 10) == [True] * 3 + [None] * 7
    assert len(other.asked) == 3


async def test_only_the_model_that_the_trusted_backend_serves_is_checked() -> None:
    trusted, other = Scripted("trusted", right), Scripted("other", right, model=Model("else"))
    found, _ = canaries(trusted, other)
    assert await found.pairs() == []


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
    monkeypatch.setattr("vagus.compute.routing.canary.TIMEOUT", 0.01)
    trusted, last = Hung("trusted"), Scripted("last", right)
    found, router = canaries(trusted, Hung("mute", "models"), Hung("slow", "complete"), last)
    async with asyncio.timeout(20):
        pairs = {each.backend.name: each for each in await found.pairs()}
        assert sorted(pairs) == ["last", "slow"]
        assert await found.ask(pairs["slow"]) is None
        assert await found.ask(pairs["last"]) is True
        trusted.hangs = ("complete",)
        assert await found.ask(pairs["last"]) is None
        trusted.hangs = ("models",)
        assert await found.pairs() == []
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
        pairs = {each.backend.name: each for each in await found.pairs()}
        for _ in range(4):
            await found.ask(pairs["liar"])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(found.run(), name="canaries")
            found.saw(asked(temperature=1.0), served("last"), (last,))
            async with asyncio.timeout(20):
                await told.wait()
            task.cancel()
        assert (len(liar.asked) > 4) is not rents


def test_questions_are_made_of_their_seed_and_differ() -> None:
    made = [question(MODEL, seed, 48) for seed in range(500)]
    assert made == [question(MODEL, seed, 48) for seed in range(500)]
    assert len({each.messages[0].content for each in made}) > 480


class Liar(Backend):
    """A backend that sells the trusted model, and serves another."""

    Config = BackendConfig

    def __init__(self, name: str, sold: Model, serves: LocalBackend) -> None:
        super().__init__(BackendConfig(kind="liar", name=name))
        self._sold, self._serves = sold, serves

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

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
    pairs = {each.backend.name: each for each in await found.pairs()}
    for _ in range(4):
        await found.ask(pairs["liar"])
        await found.ask(pairs["honest"])
    assert not router.usable("liar", sold.digest)
    assert router.usable("honest", sold.digest)
    assert pairs["honest"].test.suspicion == 0
