"""A broker, a worker and a node that mean harm, and machines that fail."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from support.edge import (
    ANSWER,
    ASK,
    CANCEL,
    HELLO,
    PIECE,
    SORRY,
    Puppet,
    edge_backend,
    frame,
    new_key,
    request,
    running,
    until,
)
from support.mosquitto import Mosquitto
from support.openai_server import OpenAIServer
from support.proxy_tcp import TcpProxy
from vagus.compute import Answer, Delta, Model
from vagus.compute.backends.openai import OpenAIBackend
from vagus.compute.edge import calls, standing
from vagus.compute.edge.backend import EdgeBackend
from vagus.compute.edge.frames import open_frame
from vagus.compute.mqtt import client as mqtt_client
from vagus.protocol import Refuse, Retry, address_of

NODE, WORKER, SECOND, STRANGER = (new_key() for _ in range(4))
ME, HIM, HER, WHO = (address_of(each) for each in (NODE, WORKER, SECOND, STRANGER))
MODEL = Model("repeater")
GOOD = {"text": "Well.", "prompt": 2, "completion": 1, "finish_reason": "stop"}
SESSION = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again at once."""
    monkeypatch.setattr(mqtt_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(mqtt_client, "LONGEST_PAUSE", 0.05)


async def test_only_the_worker_that_was_asked_can_answer(url: str) -> None:
    """Not another trusted one, nor a stranger, nor an answer to another request or another node."""
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        one.offer()
        await until(backend._workers.models)
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, digest, topic = await one.an_ask()
        lie = GOOD | {"text": "Lie."}
        two.say(ANSWER, ME, digest, topic, lie)
        for data in (
            frame(ANSWER, STRANGER, ME, digest, body=lie)[0],
            frame(ANSWER, STRANGER, ME, digest, body=lie, sender=HIM)[0],
            frame(ANSWER, WORKER, HER, digest, body=lie)[0],
            frame(ANSWER, WORKER, ME, bytes(32), body=lie)[0],
            frame(ASK, WORKER, ME, digest, body=lie)[0],
            b"noise",
            bytes(200),
        ):
            one.client.publish(topic, data, about=digest)
        one.client.publish(topic, frame(ANSWER, WORKER, ME, digest, body=lie)[0])
        one.client.publish(topic, b"noise", about=bytes(32))
        one.say(ANSWER, ME, digest, topic, GOOD)
        assert (await call).text == "Well."
        one.say(ANSWER, ME, digest, topic, lie)  # a second one
        await until(lambda: backend.dropped["not asked for"] == 3)
        assert +backend.dropped == {
            "of a stranger": 2,
            "forged": 1,
            "for another request": 2,
            "of a kind that is no answer": 1,
            "of a wrong size": 1,
            "of another version": 1,
            "not asked for": 3,
        }


async def test_pieces_that_come_twice_late_and_not_at_all_make_up_the_answer(url: str) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        stream = backend.stream(request(MODEL), timeout=30)
        first = asyncio.ensure_future(anext(stream))
        _, digest, topic = await one.an_ask()
        for number, text in ((1, "lo "), (0, "Hel"), (0, "xxx"), (1, "yyy"), (3, "out")):
            one.say(PIECE, ME, digest, topic, {"text": text}, number)
        one.say(ANSWER, ME, digest, topic, GOOD | {"text": "Hello without end"})
        pieces = [await first, *[each async for each in stream]]
        texts = [each.text for each in pieces[:-1]]
        assert all(isinstance(each, Delta) for each in pieces[:-1])
        assert isinstance(pieces[-1], Answer)
        assert "".join(texts) == pieces[-1].text == "Hello without end"
        assert texts[0] == "Hel"


async def test_pieces_of_another_answer_are_found_out(url: str) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        stream = backend.stream(request(MODEL), timeout=30)
        first = asyncio.ensure_future(anext(stream))
        _, digest, topic = await one.an_ask()
        one.say(PIECE, ME, digest, topic, {"text": "Bad"})
        assert (await first) == Delta("Bad")
        one.say(ANSWER, ME, digest, topic, GOOD)
        with pytest.raises(Retry, match="pieces of another answer"):
            await anext(stream)


LIES = {
    "tokens that were not written": GOOD | {"completion": 9},
    "tokens that were not read": GOOD | {"prompt": 100_000},
    "more tokens than were asked for": GOOD | {"ids": list(range(9))},
    "no tokens at all": {key: GOOD[key] for key in ("text", "finish_reason")},
    "less than none": GOOD | {"completion": -1},
    "what is no number": b'{"text":"","prompt":1e999,"completion":1,"finish_reason":"stop"}',
    "what is no text": b'{"text":"\xff","prompt":1,"completion":1,"finish_reason":"stop"}',
    "depth": b'{"text":' + b"[" * 100_000,
    "what is no JSON": b"{",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_worker_that_lies_costs_one_failed_try(url: str, lie: object) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, digest, topic = await one.an_ask()
        one.say(ANSWER, ME, digest, topic, lie)
        with pytest.raises(Retry, match=f"worker 0x{HIM.hex()} (counts|sent)"):
            await call


@pytest.mark.parametrize("completion", [69, 70])
async def test_no_more_tokens_were_written_than_bytes_came_and_some_marks(
    url: str, completion: int
) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        asked = request(MODEL, max_tokens=1000)
        call = asyncio.create_task(backend.complete(asked, timeout=30))
        _, digest, topic = await one.an_ask()
        one.say(ANSWER, ME, digest, topic, GOOD | {"completion": completion})
        if completion == 69:  # "Well.", and 64
            assert (await call).usage.completion == completion
        else:
            with pytest.raises(Retry, match=r"counts 2 \+ 70 tokens, which is more than \d+ \+ 69"):
                await call


async def test_what_is_not_asked_for_is_left_out_of_the_answer(url: str) -> None:
    token = {"text": "Well.", "logprob": -0.1, "id": None, "top": []}
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, digest, topic = await one.an_ask()
        one.say(ANSWER, ME, digest, topic, GOOD | {"tokens": [token], "ids": [1]})
        assert ((await call).tokens, (await call).ids) == ((), ())


@pytest.mark.parametrize("after", [None, 3.0])
async def test_a_workers_no_is_a_refusal_or_a_retry(url: str, after: float | None) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, digest, topic = await one.an_ask()
        one.say(SORRY, ME, digest, topic, {"reason": "no\x1b[2J\nmore", "after": after})
        with pytest.raises(Refuse if after is None else Retry) as caught:
            await call
        assert str(caught.value).isprintable()
        assert getattr(caught.value, "after", None) == after


async def test_one_workers_no_is_not_the_word_of_the_others(url: str) -> None:
    """The next try goes to another; a second no is the request's end."""
    never = {"reason": "no", "after": None}
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        one.offer()
        two.offer()
        await until(lambda: len(backend._workers.serving(MODEL)) == 2)
        call, liar, _ = await _asked(backend, one, two)
        _, digest, topic = await liar.an_ask()
        liar.say(SORRY, ME, digest, topic, never)
        with pytest.raises(Retry, match="no"):
            await call
        call, honest, number = await _asked(backend, one, two)
        assert honest is not liar
        _, digest, topic = await honest.an_ask(number)
        honest.say(ANSWER, ME, digest, topic, GOOD)
        assert (await call).text == "Well."
        # However often: the liar is not asked for this again, and the other's word decides.
        call, again, number = await _asked(backend, one, two)
        assert again is honest
        _, digest, topic = await honest.an_ask(number)
        honest.say(SORRY, ME, digest, topic, never)
        with pytest.raises(Refuse, match="no"):
            await call


@pytest.mark.parametrize(
    "failing",
    [
        (ANSWER, GOOD | {"completion": 9}),
        (ANSWER, b"{"),
        (SORRY, {"reason": "its server is away", "after": 0.0}),
        None,
    ],
    ids=["lies", "breaks", "can't", "too late"],
)
async def test_after_a_worker_that_failed_the_others_are_asked_first(
    url: str, failing: tuple[int, object] | None
) -> None:
    """However little it says that it has to do."""
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        one.offer(slots=1024, free=1024)
        await until(backend._workers.models)
        call, _, _ = await _asked(backend, one, timeout=30 if failing else 0.2)
        _, digest, topic = await one.an_ask()
        if failing is not None:
            one.say(failing[0], ME, digest, topic, failing[1])
        with pytest.raises(Retry):
            await call
        two.offer(slots=2, free=1)
        await until(lambda: len(backend._workers.serving(MODEL)) == 2)
        for number in range(2):
            call, asked, _ = await _asked(backend, one, two)
            assert asked is two
            _, digest, topic = await two.an_ask(number)
            two.say(ANSWER, ME, digest, topic, GOOD)
            assert (await call).text == "Well."


async def test_a_worker_draws_no_calls_by_what_it_says_of_its_room(url: str) -> None:
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        one.offer(slots=1024, free=1024)
        two.offer(slots=4, free=1)
        await until(lambda: len(backend._workers.serving(MODEL)) == 2)
        running = [
            asyncio.create_task(backend.complete(request(MODEL), timeout=30)) for _ in range(6)
        ]
        await until(lambda: len(backend._calls) == 6)
        await until(lambda: len(one.of_kind(ASK)) + len(two.of_kind(ASK)) == 6)
        assert len(one.of_kind(ASK)) == 3
        for each in running:
            each.cancel()
        await asyncio.wait(running)


async def _asked(
    backend: EdgeBackend, *puppets: Puppet, timeout: float = 30
) -> tuple[asyncio.Task[Answer], Puppet, int]:
    """Begin a call; who is asked, and how many it had been asked before."""
    before = [len(each.of_kind(ASK)) for each in puppets]
    call = asyncio.create_task(backend.complete(request(MODEL), timeout=timeout))
    await until(lambda: [len(each.of_kind(ASK)) for each in puppets] != before)
    for each, had in zip(puppets, before, strict=True):
        if len(each.of_kind(ASK)) > had:
            return call, each, had
    raise AssertionError


async def test_pieces_come_to_no_more_bytes_than_an_answer(url: str) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        stream = backend.stream(request(MODEL), timeout=30)
        read = asyncio.create_task(_all_of(stream))
        _, digest, topic = await one.an_ask()
        for number in range(4):
            one.say(PIECE, ME, digest, topic, {"text": "x" * 80_000}, number)
        with pytest.raises(Retry, match="pieces of more than an answer"):
            await read
        assert not backend._calls


async def _all_of(stream: AsyncIterator[Delta | Answer]) -> list[Delta | Answer]:
    return [each async for each in stream]


async def test_a_worker_that_never_answers_is_asked_again_and_given_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AGAIN", 0.02)
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await until(lambda: len(one.of_kind(ASK)) >= 3)
        assert len(set(one.of_kind(ASK))) == 1  # the same bytes
        call.cancel()
        await until(lambda: one.of_kind(CANCEL))
        with pytest.raises(Retry, match="took too long"):
            await backend.complete(request(MODEL), timeout=0.05)
        await until(lambda: len(one.of_kind(CANCEL)) == 2)


async def test_a_worker_that_is_started_anew_or_falls_silent_ends_its_calls(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        one.offer()
        await backend.models()
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await one.an_ask()
        one.offer(session="e5" * 16)
        with pytest.raises(Retry, match="was started anew"):
            await call
        monkeypatch.setattr(calls, "AGAIN", 0.05)
        one.offer(session="e5" * 16)
        await until(backend._workers.models)
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        await one.an_ask(1)
        monkeypatch.setattr(standing, "SILENT", 0.0)
        with pytest.raises(Retry, match="fell silent"):
            await call


async def test_an_old_offer_changes_nothing(url: str) -> None:
    """Whoever keeps it, and however often it comes."""
    async with Puppet.on(url, WORKER) as one, edge_backend(url, NODE, [HIM]) as backend:
        old = one.offer(models=[{"name": "old"}])
        await until(lambda: backend._workers.models() == (Model("old"),))
        one.offer()
        await until(lambda: backend._workers.models() == (MODEL,))
        for _ in range(3):
            one.client.publish(f"vagus-edge/1/{HIM.hex()}/offer", old)
        one.client.publish(f"vagus-edge/1/{HIM.hex()}/offer", b"noise")
        await until(lambda: backend.dropped["of a wrong size"])
        assert await backend.models() == (MODEL,)


async def test_a_flood_of_offers_takes_no_other_workers_turn(url: str) -> None:
    async with (
        Puppet.on(url, WORKER) as one,
        Puppet.on(url, SECOND) as two,
        edge_backend(url, NODE, [HIM, HER]) as backend,
    ):
        one.offer()
        await until(backend._workers.models)
        junk = bytes([1, 1]) + HER + bytes(3000)
        forged, _ = frame(1, STRANGER, number=1 << 60, body=b"{}", sender=HER)
        for _ in range(500):
            two.client.publish(f"vagus-edge/1/{HER.hex()}/offer", junk)
            two.client.publish(f"vagus-edge/1/{HER.hex()}/offer", forged)
        call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
        _, digest, topic = await one.an_ask()
        one.say(ANSWER, ME, digest, topic, GOOD)
        assert (await call).text == "Well."
        assert set(+backend.dropped) <= {"malformed", "forged"}


async def test_a_request_is_run_once_however_often_it_comes(
    url: str, inner: OpenAIBackend, server: OpenAIServer
) -> None:
    replies = f"vagus-edge/1/+/reply/{ME.hex()}/{SESSION}"
    async with Puppet.on(url, NODE, replies) as node:
        async with running(url, WORKER, inner, {ME}) as worker:
            ask, digest, where = _asks(worker.jobs.windows.now)
            await until(lambda: worker.client.connected and len(server.bodies) == 1)
            for _ in range(5):
                _send(node, ask, where, digest)
            await until(lambda: node.of_kind(ANSWER))
            # Its answer is said again, in the same bytes.
            worker.jobs._ended[digest].said = 0
            _send(node, ask, where, digest)
            await until(lambda: len(node.of_kind(ANSWER)) == 2)
            assert len({data for data, _ in node.of_kind(ANSWER)}) == 1
            # Nor is it once its answer is let go, nor once its window is over.
            worker.jobs._ended.clear()
            _send(node, ask, where, digest)
            await until(lambda: worker.jobs.counts["repeated"] == 1)
            worker.jobs.windows.turn()
            worker.jobs.windows.turn()
            _send(node, ask, where, digest)
            await until(lambda: worker.jobs.counts["stale"] == 1)
            assert len(server.bodies) == 2  # the other one is the worker's own question
        # Nor by a worker that was started again.
        async with running(url, WORKER, inner, {ME}) as again:
            await until(lambda: again.client.connected)
            _send(node, ask, where, digest)
            await until(lambda: again.jobs.counts["stale"] == 1)
            await until(lambda: len(server.bodies) == 3)
            assert again.jobs.counts["answered"] == 0


def _asks(word: str, key: object = NODE, **changed: object) -> tuple[bytes, bytes, str]:
    body = {
        "window": word,
        "within": 30.0,
        "stream": False,
        "request": {
            "model": {"name": "repeater"},
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 8,
        },
    }
    data, digest = frame(ASK, key, HIM, secrets.token_bytes(32), body=body | changed)  # type: ignore[arg-type]
    return data, digest, f"vagus-edge/1/{HIM.hex()}/reply/{ME.hex()}/{SESSION}"


def _send(node: Puppet, data: bytes, where: str, digest: bytes) -> None:
    topic = f"vagus-edge/1/{HIM.hex()}/ask/{ME.hex()}"
    node.client.publish(topic, data, reply_to=where, about=digest)


async def test_nobody_else_has_anything_run_or_broken_off(
    url: str, inner: OpenAIBackend, server: OpenAIServer
) -> None:
    async with (
        Puppet.on(url, STRANGER, f"vagus-edge/1/+/reply/{ME.hex()}/{SESSION}") as node,
        running(url, WORKER, inner, {ME, HER}) as worker,
    ):
        await until(lambda: worker.client.connected and len(server.bodies) == 1)
        now = worker.jobs.windows.now
        whole, digest, where = _asks(now)
        for data, reply_to in (
            (_asks(now, STRANGER)[0], where),
            (frame(ASK, STRANGER, HIM, bytes(32), body=b"{}", sender=ME)[0], where),
            (frame(ASK, NODE, HER, bytes(32), body=b"{}")[0], where),
            (frame(PIECE, NODE, HIM, bytes(32), body=b"{}")[0], where),
            (whole, f"vagus-edge/1/{HER.hex()}/reply/{ME.hex()}/{SESSION}"),
            (whole, ""),
            (whole, f"vagus-edge/1/{HIM.hex()}/offer"),
            (b"noise", where),
        ):
            _send(node, data, reply_to, digest)
        for bad in ({"window": 1}, {"within": -1}, {"more": 1}):
            _send(node, _asks(now, **bad)[0], where, digest)
        await until(lambda: worker.jobs.counts["malformed"] == 3)
        assert +worker.dropped == {
            "of a stranger": 1,
            "forged": 1,
            "for another worker": 1,
            "of a kind that no node sends": 1,
            "without a topic for its answer": 3,
            "of a wrong size": 1,
        }
        assert len(server.bodies) == 1
        # A second node that may ask can't break off what the first has asked for.
        _send(node, frame(CANCEL, SECOND, HIM, digest)[0], "", b"")
        _send(node, frame(HELLO, SECOND, HIM)[0], "", b"")
        _send(node, whole, where, digest)
        await until(lambda: node.of_kind(ANSWER))
        assert worker.jobs.counts["cancelled"] == 0


async def test_a_request_called_off_in_the_same_breath_takes_no_slot(
    url: str, inner: OpenAIBackend, server: OpenAIServer
) -> None:
    async with (
        Puppet.on(url, NODE, f"vagus-edge/1/+/reply/{ME.hex()}/{SESSION}") as node,
        running(url, WORKER, inner, {ME}, slots=2) as worker,
        asyncio.TaskGroup() as group,
    ):
        await until(lambda: worker.client.connected and len(server.bodies) == 1)
        for _ in range(4):
            data, digest, where = _asks(worker.jobs.windows.now)
            opened, _ = open_frame(data, {ME})
            worker.jobs.take(opened, digest, where, group)
            worker.jobs.cancel(ME, digest)
            await until(lambda: worker.jobs.free == 2)
            assert not worker.jobs.tasks
        assert node.asked == []
        assert len(server.bodies) == 1


async def test_a_node_that_does_not_wait_withdraws_nothing_from_others(
    url: str, inner: OpenAIBackend
) -> None:
    async with (
        Puppet.on(url, NODE, f"vagus-edge/1/+/reply/{ME.hex()}/{SESSION}") as node,
        running(url, WORKER, inner, {ME}, slots=8) as worker,
    ):
        await until(lambda: worker.client.connected and worker._ready)
        for _ in range(5):
            data, digest, where = _asks(worker.jobs.windows.now, within=1e-6)
            _send(node, data, where, digest)
        await until(lambda: worker.jobs.counts["failed"] == 5)
        assert not worker.jobs.trouble.is_set()


async def test_a_request_out_of_bounds_is_refused_before_it_is_run(
    url: str, inner: OpenAIBackend, server: OpenAIServer
) -> None:
    async with (
        Puppet.on(url, NODE, f"vagus-edge/1/+/reply/{ME.hex()}/{SESSION}") as node,
        running(url, WORKER, inner, {ME}) as worker,
    ):
        await until(lambda: worker.client.connected and len(server.bodies) == 1)
        now = worker.jobs.windows.now
        right = {"model": {"name": "repeater"}, "messages": [], "max_tokens": 8}
        said = [{"role": "user", "content": "Hi"}]
        for wrong in (
            right,
            right | {"messages": said, "max_tokens": 0},
            right | {"messages": said, "model": {"name": "another"}},
        ):
            data, digest, where = _asks(now, request=wrong)
            _send(node, data, where, digest)
        await until(lambda: len(node.of_kind(SORRY)) == 3)
        assert len(server.bodies) == 1


async def test_a_broker_that_is_started_again_loses_a_try_at_most(
    mosquitto: Mosquitto, inner: OpenAIBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AGAIN", 0.1)
    url = mosquitto.url
    async with (
        running(url, WORKER, inner, {ME}) as worker,
        edge_backend(url, NODE, [HIM]) as backend,
    ):
        assert (await backend.complete(await _first(backend), timeout=30)).text
        await mosquitto.kill()
        await until(lambda: not worker.client.connected)
        with pytest.raises(Retry, match=r"is away|took too long"):
            await backend.complete(request(MODEL), timeout=0.2)
        await mosquitto.start()
        await until(lambda: worker.client.connected)
        answer = await backend.complete(request(MODEL), timeout=30)
        assert answer.text == "You said: Hello there"


async def _first(backend: object) -> object:
    await backend.models()  # type: ignore[attr-defined]
    return request(MODEL)


async def test_a_worker_whose_nat_forgets_it_comes_back(
    url: str, inner: OpenAIBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut without a word while a request is on its way."""
    monkeypatch.setattr(calls, "AGAIN", 0.1)
    async with TcpProxy(url) as nat:
        behind = f"mqtt://127.0.0.1:{nat.port}"
        async with (
            running(behind, WORKER, inner, {ME}) as worker,
            edge_backend(url, NODE, [HIM]) as backend,
        ):
            await backend.models()
            nat.stall()
            call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
            await until(lambda: backend._calls)
            nat.drop()
            nat.flow()
            assert (await call).text == "You said: Hello there"
            assert worker.jobs.counts["answered"] == 1


async def test_a_closed_backend_ends_its_calls_and_leaves_nothing_behind(url: str) -> None:
    async with Puppet.on(url, WORKER) as one:
        one.offer()
        tasks = asyncio.all_tasks()
        async with edge_backend(url, NODE, [HIM]) as backend:
            await backend.models()
            call = asyncio.create_task(backend.complete(request(MODEL), timeout=30))
            await one.an_ask()
        with pytest.raises(Retry, match="the backend is closed"):
            await call
        with pytest.raises(Retry, match="is closed"):
            await backend.complete(request(MODEL), timeout=30)
        await until(lambda: asyncio.all_tasks() <= tasks)
