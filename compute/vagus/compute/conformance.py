"""The tests that every backend passes. In a test module of yours:

    class TestMine(BackendConformance):
        @pytest.fixture
        async def backend(self):
            async with MyBackend(config) as backend:
                yield backend

Tests are coroutines, for pytest with pytest-asyncio. They ask for about 400 tokens. What a backend
can't do is said by the class attributes; overriding a test needs a written reason.
"""  # noqa: D400 - a title and an example

# ruff: noqa: S101 - a test kit asserts

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import ClassVar

from vagus.compute.base import Answer, Backend, Completion, Message, Model
from vagus.protocol import Refuse, Retry

__all__ = ["BackendConformance"]

PATIENCE = 60.0


class BackendConformance:
    """Subclass it and give the fixture `backend`, entered."""

    streams: ClassVar[bool] = True
    has_logprobs: ClassVar[bool] = True
    has_schema: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    async def test_it_lists_models_that_it_prices(self, backend: Backend) -> None:
        """There is a model, each has a digest of its own and a price."""
        models = await backend.models()
        assert models
        assert len({model.digest for model in models}) == len(models)
        assert all(backend.price(model).input >= 0 for model in models)

    async def test_it_passes_its_own_check(self, backend: Backend) -> None:
        """Readiness is a real completion."""
        await backend.check(timeout=PATIENCE)

    async def test_it_answers_within_max_tokens(self, backend: Backend) -> None:
        """Text comes, and what is counted is what was allowed."""
        story = await _ask(backend, "Tell a long story about the sea.", 8)
        answer = await backend.complete(story, timeout=PATIENCE)
        assert answer.text
        assert 1 <= answer.usage.completion <= 8
        assert answer.usage.prompt >= 1
        assert answer.finish_reason == "length"
        assert 0 <= answer.times.queued <= answer.times.total <= PATIENCE

    async def test_it_repeats_itself_at_temperature_0(self, backend: Backend) -> None:
        """The same request has the same answer, alone and beside others."""
        if self.repeats:
            request = await _ask(backend, "What is a bee?", 24)
            alone = await backend.complete(request, timeout=PATIENCE)
            other = await _ask(backend, "What is a river?", 24)
            together = await asyncio.gather(
                *(backend.complete(r, timeout=PATIENCE) for r in (request, other, request))
            )
            assert together[0].text == together[2].text == alone.text

    async def test_it_refuses_a_model_it_does_not_serve(self, backend: Backend) -> None:
        """Another revision is another model."""
        model = replace((await backend.models())[0], revision="another")
        request = _request(model, "Hello", 1)
        assert isinstance(await _error(backend.complete(request, timeout=PATIENCE)), Refuse)
        assert isinstance(await _error(_last(backend, request)), Refuse)
        try:
            backend.price(model)
        except Refuse:
            return
        raise AssertionError("a model that is not served has a price")

    async def test_it_refuses_a_prompt_over_the_context(self, backend: Backend) -> None:
        """The same prompt would be too long each time."""
        request = await _ask(backend, "word " * 200_000, 1)
        assert isinstance(await _error(backend.complete(request, timeout=PATIENCE)), Refuse)

    async def test_a_timeout_is_a_retry(self, backend: Backend) -> None:
        """And the backend serves the next call."""
        request = await _ask(backend, "Tell a long story.", 64)
        assert isinstance(await _error(backend.complete(request, timeout=0.01)), Retry)
        await backend.complete(await _ask(backend, "Hello", 1), timeout=PATIENCE)

    async def test_a_cancelled_call_leaves_it_usable(self, backend: Backend) -> None:
        """Cancelling passes through, and nothing stays behind."""
        request = await _ask(backend, "Tell a long story.", 64)
        before = asyncio.all_tasks()
        call = asyncio.create_task(backend.complete(request, timeout=PATIENCE))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert asyncio.all_tasks() <= before
        await backend.complete(await _ask(backend, "Hello", 1), timeout=PATIENCE)

    async def test_a_stream_ends_with_the_whole_answer(self, backend: Backend) -> None:
        """The pieces make up the text that a plain call returns."""
        request = await _ask(backend, "What is a bee?", 16)
        if not self.streams:
            assert isinstance(await _error(_last(backend, request)), Refuse)
            return
        pieces, last = await _all(backend, request)
        assert last.text == "".join(pieces)
        assert last.times.first is not None
        assert last.times.first <= last.times.total
        if self.repeats:
            assert last.text == (await backend.complete(request, timeout=PATIENCE)).text

    async def test_a_stream_left_half_read_leaves_it_usable(self, backend: Backend) -> None:
        """Closing it closes its connection."""
        if self.streams:
            request = await _ask(backend, "What is a bee?", 16)
            async with contextlib.aclosing(backend.stream(request, timeout=PATIENCE)) as stream:
                await anext(stream)
            await backend.complete(await _ask(backend, "Hello", 1), timeout=PATIENCE)

    async def test_tokens_come_with_logprobs_if_asked_for(self, backend: Backend) -> None:
        """Each with the likeliest alternatives; none where they were not asked for."""
        if self.has_logprobs:
            plain = await _ask(backend, "What is a bee?", 4)
            assert (await backend.complete(plain, timeout=PATIENCE)).tokens == ()
            asked = Completion(model=plain.model, messages=plain.messages, max_tokens=4, logprobs=2)
            answer = await backend.complete(asked, timeout=PATIENCE)
            assert answer.text.startswith("".join(token.text for token in answer.tokens[:2]))
            assert all(t.logprob <= 0 and len(t.top) == 2 for t in answer.tokens)

    async def test_it_rescores_its_own_answer_or_says_that_it_cannot(
        self, backend: Backend
    ) -> None:
        """Its own tokens are near the likeliest, and are the answer's text; others are not."""
        plain = await _ask(backend, "What is a bee?", 8)
        if not backend.rescores:
            assert isinstance(await _error(backend.rescore(plain, [1], timeout=PATIENCE)), Refuse)
            return
        asked = Completion(model=plain.model, messages=plain.messages, max_tokens=8, ids=True)
        answer = await backend.complete(asked, timeout=PATIENCE)
        tokens = answer.ids
        found = await backend.rescore(plain, tokens, timeout=PATIENCE)
        assert (found.text, found.prompt) == (answer.text, answer.usage.prompt)
        assert found.ended == (answer.finish_reason == "stop")
        assert len(found.gaps) == len(tokens)
        assert all(0 <= gap < 1 for gap in found.gaps)
        other = await _error(backend.rescore(plain, tokens[::-1], timeout=PATIENCE))
        assert isinstance(other, Refuse)

    async def test_an_answer_is_held_to_its_schema(self, backend: Backend) -> None:
        """A choice of two is one of the two."""
        if self.has_schema:
            plain = await _ask(backend, "Which colour has the sky?", 32)
            properties = {"colour": {"enum": ["red", "blue"]}}
            schema = {
                "type": "object",
                "properties": properties,
                "required": ["colour"],
                "additionalProperties": False,
            }
            asked = Completion(
                model=plain.model, messages=plain.messages, max_tokens=48, schema=schema
            )
            answer = await backend.complete(asked, timeout=PATIENCE)
            assert json.loads(answer.text)["colour"] in {"red", "blue"}


def _request(model: Model, text: str, max_tokens: int) -> Completion:
    return Completion(model=model, messages=(Message("user", text),), max_tokens=max_tokens)


async def _ask(backend: Backend, text: str, max_tokens: int) -> Completion:
    return _request((await backend.models())[0], text, max_tokens)


async def _error(call: Awaitable[object]) -> Exception | None:
    """Return the Retry or Refuse that a call ends with; any other exception is the test's."""
    try:
        await call
    except (Retry, Refuse) as error:
        return error
    return None


async def _all(backend: Backend, request: Completion) -> tuple[list[str], Answer]:
    pieces: list[str] = []
    async with contextlib.aclosing(backend.stream(request, timeout=PATIENCE)) as stream:
        async for piece in stream:
            if isinstance(piece, Answer):
                return pieces, piece
            pieces.append(piece.text)
    raise AssertionError("the stream ended without an Answer")


async def _last(backend: Backend, request: Completion) -> Answer:
    return (await _all(backend, request))[1]
