"""Requests to workers and back, through Mosquitto and the embedded broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from support.edge import ANSWER, ASK, Puppet, edge_backend, new_key, request, running, until
from support.mosquitto import Mosquitto
from support.openai_server import OpenAIServer
from support.scripted import Request, scripted, silent
from vagus.compute import Answer, Delta, Model
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.edge import backend as edge
from vagus.compute.edge import jobs
from vagus.compute.edge import worker as workers
from vagus.compute.edge.bodies import Offered
from vagus.compute.edge.config import EdgeConfig
from vagus.compute.money import Money, Rate
from vagus.compute.mqtt import Broker
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry, address_of

NODE, WORKER, SECOND = new_key(), new_key(), new_key()
ME, HIM, HER = address_of(NODE), address_of(WORKER), address_of(SECOND)
MODEL = Model("repeater")


@pytest.fixture(params=["mosquitto", "embedded"])
async def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with Mosquitto(tmp_path) if request.param == "mosquitto" else Broker() as broker:
        yield broker.url


async def test_a_request_goes_there_and_its_answer_comes_back(
    any_url: str, inner: OpenAIBackend, server: OpenAIServer
) -> None:
    async with (
        running(any_url, WORKER, inner, {ME}) as worker,
        edge_backend(any_url, NODE, [HIM]) as backend,
    ):
        assert await backend.models() == (MODEL,)
        answer = await backend.complete(request(MODEL), timeout=30)
        assert (answer.text, answer.model) == ("You said: Hello there", "repeater")
        assert (answer.usage.prompt, answer.usage.completion) == (2, 4)
        assert server.bodies[-1]["max_tokens"] == 8
        pieces = [each async for each in backend.stream(request(MODEL), timeout=30)]
        *deltas, last = pieces
        assert isinstance(last, Answer)
        assert "".join(each.text for each in deltas if isinstance(each, Delta)) == last.text
        assert last.text == answer.text
        assert worker.jobs.counts["answered"] == 2
        assert not +worker.dropped
        assert not +backend.dropped


async def test_the_least_loaded_of_several_workers_is_asked(url: str, inner: OpenAIBackend) -> None:
    async with (
        running(url, WORKER, inner, {ME}, slots=2) as one,
        running(url, SECOND, inner, {ME}, slots=2) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        await until(lambda: len(backend._workers.serving(MODEL)) == 2)
        await asyncio.gather(*(backend.complete(request(MODEL), timeout=30) for _ in range(12)))
        assert one.jobs.counts["answered"] == two.jobs.counts["answered"] == 6


@contextlib.asynccontextmanager
async def slow_model() -> AsyncIterator[tuple[OpenAIBackend, list[Request], asyncio.Event]]:
    """A server that says its pieces once it is let, the requests it had, and who lets it."""
    asked: list[Request] = []
    let = asyncio.Event()

    async def script(asking: Request) -> None:
        if b'"max_tokens":1,' in asking.body:  # the worker's own question, whether it is there
            await asking.send(WHOLE)
            return
        asked.append(asking)
        gone = asyncio.ensure_future(silent(asking))
        await asyncio.wait([gone, asyncio.ensure_future(let.wait())], return_when="FIRST_COMPLETED")
        if gone.done():
            asked.remove(asking)
        else:
            gone.cancel()
            await asking.send(WHOLE)

    async with scripted(script) as served:
        named = (ModelConfig(name="repeater"),)
        config = OpenAIConfig(name="local", base_url=served.base_url, models=named)
        async with OpenAIBackend(config) as backend:
            yield backend, asked, let
        let.set()


BODY = (
    b'{"model":"m","choices":[{"message":{"content":"Late"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1}}'
)
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


async def test_a_full_worker_says_no_at_once_and_when_to_come_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_LEAST_PAUSE", 25.0)
    other = new_key()
    async with (
        slow_model() as (inner, asked, let),
        running(url, WORKER, inner, {ME, address_of(other)}, slots=1) as worker,
        edge_backend(url, NODE, [HIM]) as backend,
        edge_backend(url, other, [HIM]) as second,
    ):
        await asyncio.gather(backend.models(), second.models())
        first = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: asked)
        with pytest.raises(Retry, match="all slots are taken") as caught:
            await second.complete(request(MODEL), timeout=30)
        assert caught.value.after == 25
        assert len(asked) == 1
        assert worker.jobs.counts["busy"] == 1
        # It is left alone for that long.
        with pytest.raises(Retry, match="are busy"):
            await second.complete(request(MODEL), timeout=30)
        assert worker.jobs.counts["busy"] == 1
        let.set()
        assert (await first).text == "Late"


async def test_one_node_can_be_held_to_some_of_the_slots(url: str) -> None:
    other = new_key()
    async with (
        slow_model() as (inner, asked, let),
        running(url, WORKER, inner, {ME, address_of(other)}, slots=2, per_node=1),
        edge_backend(url, NODE, [HIM]) as backend,
        edge_backend(url, other, [HIM]) as second,
    ):
        await asyncio.gather(backend.models(), second.models())
        first = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: asked)
        with pytest.raises(Retry, match="all slots are taken"):
            await backend.complete(request(MODEL), timeout=30)
        third = asyncio.create_task(second.complete(request(MODEL), timeout=30))
        await until(lambda: len(asked) == 2)
        let.set()
        assert [each.text for each in await asyncio.gather(first, third)] == ["Late", "Late"]


async def test_a_node_waits_for_room_rather_than_to_be_sent_away(url: str) -> None:
    async with (
        slow_model() as (inner, asked, let),
        running(url, WORKER, inner, {ME}, slots=1) as worker,
        edge_backend(url, NODE, [HIM]) as backend,
    ):
        await backend.models()
        calls = [
            asyncio.create_task(backend.complete(request(MODEL), timeout=30)) for _ in range(3)
        ]
        await until(lambda: asked)
        let.set()
        answers = await asyncio.gather(*calls)
        assert [each.text for each in answers] == ["Late"] * 3
        assert answers[2].times.queued > 0
        assert worker.jobs.counts["busy"] == 0
        let.clear()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: len(backend._calls) == 1)
        with pytest.raises(Retry, match="had room in time"):
            await backend.complete(request(MODEL), timeout=0.05)
        let.set()
        await call


async def test_what_a_node_gives_up_is_broken_off(url: str) -> None:
    async with (
        slow_model() as (inner, asked, _),
        running(url, WORKER, inner, {ME}) as worker,
        edge_backend(url, NODE, [HIM]) as backend,
    ):
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: asked)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await until(lambda: not asked)  # the server's client has hung up
        with pytest.raises(Retry, match="took too long"):
            await backend.complete(request(MODEL), timeout=0.2)
        await until(lambda: worker.jobs.free == 4)
        assert worker.jobs.counts["cancelled"] >= 1


async def test_a_worker_that_stops_ends_what_is_under_way_and_takes_nothing_more(url: str) -> None:
    async with (
        slow_model() as (inner, asked, let),
        edge_backend(url, NODE, [HIM]) as backend,
    ):
        async with running(url, WORKER, inner, {ME}) as worker:
            await backend.models()
            call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
            await until(lambda: asked)
            worker.jobs.stopping = True
            with pytest.raises(Retry, match="the worker stops"):
                await backend.complete(request(MODEL), timeout=30)
            asyncio.get_running_loop().call_later(0.05, let.set)
        assert (await call).text == "Late"
        await until(lambda: not backend._workers.models())
        with pytest.raises(Retry, match="no worker with repeater is there"):
            await backend.complete(request(MODEL), timeout=30)
        with pytest.raises(Retry, match="no worker with repeater is there"):
            backend.price(MODEL)


async def test_a_worker_whose_drain_is_over_says_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_DRAIN", 0.01)
    async with slow_model() as (inner, asked, _), edge_backend(url, NODE, [HIM]) as backend:
        async with running(url, WORKER, inner, {ME}):
            await backend.models()
            call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
            await until(lambda: asked)
        with pytest.raises(Retry, match="the worker stopped"):
            await call


async def test_nothing_is_offered_while_the_model_server_fails(
    url: str, inner: OpenAIBackend, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "OFFER_EVERY", 0.3)
    async with (
        running(url, WORKER, inner, {ME}) as worker,
        edge_backend(url, NODE, [HIM]) as backend,
    ):
        await backend.models()
        client, inner._client = inner._client, None  # the server is away
        for _ in range(3):
            with contextlib.suppress(Retry):
                await backend.complete(request(MODEL), timeout=30)
        assert worker.jobs.counts["failed"] == 3
        await until(lambda: not backend._workers.models())
        inner._client = client
        await until(backend._workers.models)
        assert server.bodies[-1]["max_tokens"] == 1  # a real completion is the only readiness


GOOD = {"text": "Well.", "prompt": 2, "completion": 1, "finish_reason": "stop"}
DEAR = {"models": [Offered("repeater", input="0.20", output="0.5")], "slots": 1, "free": 1}
CHEAP = {"models": [Offered("repeater", input="0.1")], "slots": 1, "free": 1}
MOST = {"input": "0.2", "output": "0.5"}
# At two dollars a unit of 10**18 parts.
DEAR_UNITS, CHEAP_UNITS = (10**17, 25 * 10**16), (5 * 10**16, 0)


@contextlib.asynccontextmanager
async def dear_and_cheap(url: str) -> AsyncIterator[tuple[edge.EdgeBackend, Puppet, Puppet]]:
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER], max_price=MOST) as backend,
    ):
        one.offer(**DEAR)
        two.offer(**CHEAP)
        await until(lambda: len(backend._workers.serving(MODEL)) == 2)
        backend.price_by(Money(Rate(Decimal(2), "a test")))
        yield backend, one, two


def units(price: Price | None) -> tuple[int, int]:
    assert price is not None
    return int(price.input), int(price.output)


async def test_a_call_costs_what_the_worker_asks_that_it_goes_to_and_cheap_ones_come_first(
    url: str,
) -> None:
    async with dear_and_cheap(url) as (backend, one, two):
        assert units(backend.price(MODEL)) == CHEAP_UNITS
        first = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, cheap, to_cheap = await two.an_ask()
        assert units(backend.price(MODEL)) == DEAR_UNITS
        second = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, dear, to_dear = await one.an_ask()
        # Nobody has room: whoever has it first may be the dear one.
        assert units(backend.price(MODEL)) == DEAR_UNITS
        third = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        two.say(ANSWER, ME, cheap, to_cheap, GOOD)
        assert units((await first).price) == CHEAP_UNITS
        _, again, _ = await two.an_ask(1)
        one.say(ANSWER, ME, dear, to_dear, GOOD)
        assert units((await second).price) == DEAR_UNITS
        two.say(ANSWER, ME, again, to_cheap, GOOD)
        assert units((await third).price) == CHEAP_UNITS


async def test_a_call_goes_to_nobody_who_asks_more_than_was_said_as_it_began(url: str) -> None:
    async with dear_and_cheap(url) as (backend, one, two):
        assert backend._client is not None
        backend._client._up.clear()  # as if the broker were away for a moment
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        two.offer(models=[])
        await until(lambda: len(backend._workers.serving(MODEL)) == 1)
        backend._client._up.set()
        with pytest.raises(Retry, match="the cheap workers of backend edge have left"):
            await call
        assert not one.of_kind(ASK)


async def test_prices_are_in_dollars_which_are_worth_something_or_not_known(url: str) -> None:
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER], max_price=MOST) as backend,
    ):
        one.offer(models=[*DEAR["models"], Offered("context", context=4096)])  # type: ignore[misc]
        two.offer(models=[Offered("repeater", input="0.21"), Offered("context", context=2048)])
        await until(lambda: len(backend._workers.serving(Model("context"))) == 2)
        assert len(backend._workers.serving(MODEL)) == 1
        with pytest.raises(Retry, match="US dollar"):
            backend.price(MODEL)
        backend.price_by(Money(Rate(Decimal(2), "a test")))
        assert units(backend.price(MODEL)) == DEAR_UNITS
        assert backend.price(Model("context")).output == 0
        assert backend.context(Model("context")) == 2048
        assert backend.context(MODEL) is None


async def test_it_has_the_slots_that_its_workers_have_for_this_node_now(url: str) -> None:
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER], max_in_flight=6) as backend,
    ):
        assert backend.slots == 0
        one.offer(slots=4, free=1)
        await until(lambda: backend.slots == 1)
        two.offer(slots=4, free=4)
        await until(lambda: backend.slots == 5)
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: one.of_kind(ASK) + two.of_kind(ASK))
        asked = one if one.of_kind(ASK) else two
        # What this node itself has asked for is no slot of others.
        asked.offer(slots=4, free=0 if asked is one else 3)
        heard = backend._workers.by_address[asked.address]
        await until(lambda: heard.number == asked.number)
        assert backend.slots == 5
        one.offer(slots=4, free=4)
        await until(lambda: backend.slots == 6)  # of eight: max_in_flight
        call.cancel()
        await asyncio.wait([call])
        two.offer(models=[])
        await until(lambda: backend.slots == 4)


async def test_a_worker_that_asks_more_than_is_paid_is_passed_over(url: str) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer(models=[Offered("repeater", output="0.000000000001"), Offered("free")])
        assert await backend.models() == (Model("free"),)


async def test_all_that_workers_serve_is_known_once_each_was_heard(url: str) -> None:
    """Whoever asks for the models may ask but once."""
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        asked = asyncio.create_task(backend.models())
        one.offer()
        await until(backend._workers.models)
        assert not asked.done()
        two.offer(models=[{"name": "another"}])
        assert set(await asked) == {MODEL, Model("another")}


async def test_without_workers_it_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "_BEGINNING", 0.0)
    async with edge_backend(url, NODE, [HIM]) as backend:
        with pytest.raises(Retry, match="no worker of backend edge is there"):
            await backend.models()
        with pytest.raises(Refuse, match="does not serve repeater"):
            await backend.complete(request(MODEL), timeout=30)


async def test_a_request_over_what_a_message_carries_is_refused(url: str) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        with pytest.raises(Refuse, match="is over the 245760 bytes"):
            await backend.complete(request(MODEL, "w" * 250_000), timeout=30)
        assert not backend._calls


async def test_an_answer_over_what_a_message_carries_is_refused_in_words(url: str) -> None:
    async with scripted(_huge) as served:
        named = (ModelConfig(name="repeater"),)
        config = OpenAIConfig(name="local", base_url=served.base_url, models=named)
        async with (
            OpenAIBackend(config) as inner,
            running(url, WORKER, inner, {ME}),
            edge_backend(url, NODE, [HIM]) as backend,
        ):
            await backend.models()
            with pytest.raises(Refuse, match="the answer is over 245760 bytes"):
                await backend.complete(request(MODEL, max_tokens=1000), timeout=30)


async def test_thoughts_are_not_sent_and_not_counted(url: str) -> None:
    async with scripted(_thinking) as served:
        named = (ModelConfig(name="repeater"),)
        config = OpenAIConfig(name="local", base_url=served.base_url, models=named)
        async with (
            OpenAIBackend(config) as inner,
            running(url, WORKER, inner, {ME}),
            edge_backend(url, NODE, [HIM]) as backend,
        ):
            await backend.models()
            asked = request(MODEL, max_tokens=1000)
            assert (await inner.complete(asked, timeout=30)).usage.completion == 400
            answer = await backend.complete(asked, timeout=30)
            assert (answer.text, answer.usage.completion) == ("Late", 4 + 64)


async def _thinking(asking: Request) -> None:
    thoughts = b'"reasoning_content":"%s","content"' % (b"Hm. " * 400)
    body = BODY
    if b'"max_tokens":1,' not in asking.body:
        body = BODY.replace(b'"content"', thoughts).replace(b'tokens":1}}', b'tokens":400}}')
    await asking.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _huge(asking: Request) -> None:
    body = BODY.replace(b"Late", b"x" * (1 if b'"max_tokens":1,' in asking.body else 300_000))
    await asking.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def test_without_a_transport_key_it_says_what_to_do(url: str) -> None:
    config = EdgeConfig(name="edge", url=url, workers=(f"0x{HIM.hex()}",))
    with pytest.raises(Refuse, match="name a keystore under"):
        await edge.EdgeBackend(config).__aenter__()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": []}, "at least 1"),
        ({"workers": ["0x12"]}, "pattern"),
        ({"workers": [f"0x{'aB' * 20}", f"0x{'Ab' * 20}"]}, "more than once"),
        ({"price": {"input": "1"}}, "max_price says what is paid"),
        ({"max_price": {"input": 0.1}}, "write the price as a string"),
        ({"url": "http://broker"}, "pattern"),
        (
            {"username": "a", "password_file": "b", "url": "mqtt://broker"},
            "would show the password",
        ),
    ],
)
def test_a_config_that_cannot_work_is_refused_in_words(
    wrong: dict[str, object], words: str
) -> None:
    right = {"name": "edge", "url": "mqtt://broker", "workers": [f"0x{'ab' * 20}"]}
    with pytest.raises(ValidationError, match=words):
        EdgeConfig.model_validate(right | wrong)
