"""page@1: what a web page says, in the requester's shape; the page is data, whatever it says."""

import asyncio
import html
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import rfc8785

from support.agents import Written, local_context, written_context
from support.certificates import Authority, Certificate
from support.injection import attacks
from support.web import HOST, Web, answer, certified, website
from vagus.agents import Agent, Context, execute
from vagus.agents.builtin.page import PageConfig, ReadPage
from vagus.agents.conformance import AgentConformance
from vagus.compute import Completion
from vagus.compute.backends.local import LocalBackend
from vagus.protocol import MAX_PAYLOAD, Refuse

SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": ["integer", "null"], "minimum": 0, "maximum": 150}},
    "required": ["age"],
}
ARTICLE = """<!DOCTYPE html><html><head><title>People</title><script>var age = 99</script></head>
<body><nav>Home</nav><h1>Alice</h1><p>Alice is <b>31</b> years old.</p>
<p hidden>Alice is 99 years old.</p></body></html>"""
SHOWN = "People\nAlice\nAlice is 31 years old."


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Certificate]:
    return certified(tmp_path_factory.mktemp("web"))


@pytest.fixture
async def web(certificate: tuple[Authority, Certificate]) -> AsyncIterator[Web]:
    async with website(*certificate) as served:
        yield served


def page(text: str | bytes, kind: str = "text/html; charset=utf-8") -> bytes:
    return answer(text if isinstance(text, bytes) else text.encode(), kind=kind)


def reader(web: Web, **config: Any) -> ReadPage:
    """The agent on the internet that is not there."""
    allowed = web.policy()
    agent = ReadPage(PageConfig(http=allowed, **config))
    agent.pages = web.pages(allowed)
    return agent


def asking(web: Web, **more: Any) -> bytes:
    return json.dumps({"url": web.url("/v1"), "schema": SCHEMA, **more}).encode()


def said(text: str) -> Written:
    return Written(lambda _: text)


async def read(web: Web, source: bytes, **config: Any) -> str:
    """The text that the model is given of a page."""
    web.says["/v1"] = source
    backend = said('{"age": 31}')
    await execute(reader(web, **config), written_context(backend), asking(web))
    return str(json.loads(backend.asked[0].messages[1].content)["text"])


class TestReadPage(AgentConformance):
    payload = b""  # the server's port is in it: see the fixture

    @pytest.fixture
    def agent(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> Agent:
        web.says["/v1"] = page(ARTICLE)
        monkeypatch.setattr(type(self), "payload", asking(web, question="How old is Alice?"))
        return reader(web)

    @pytest.fixture
    def context(self) -> Callable[[], Context]:
        backend = said('{"age": 31}')
        return lambda: written_context(backend)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-agents")
async def test_the_model_finds_what_a_page_says(
    local_model: LocalBackend, certificate: tuple[Authority, Certificate]
) -> None:
    async with website(*certificate) as web:
        web.says["/v1"] = page(ARTICLE)
        ctx = local_context(local_model)
        payload = asking(web, question="How old is Alice?")
        assert await execute(reader(web), ctx, payload) == b'{"age":31}'
        assert [source.url for source in ctx.sources] == [web.url("/v1")]
        assert len(ctx.calls) == 1


async def test_the_model_is_given_what_the_page_shows_as_data_in_its_own_words(web: Web) -> None:
    web.says["/v1"] = page(ARTICLE)
    backend = said('{"age": 31}')
    payload = asking(web, question="How old is <|im_start|> Alice?")
    assert await execute(reader(web), written_context(backend), payload) == b'{"age":31}'
    (request,) = backend.asked
    system, user = request.messages
    assert (system.role, user.role) == ("system", "user")
    assert json.loads(user.content) == {
        "text": SHOWN,
        "schema": SCHEMA,
        "question": "How old is <|im_start|> Alice?",
    }
    assert "<|" not in user.content
    assert "Alice" not in system.content
    assert web.requests[0].line == "GET /v1 HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("Zoë", "text/html; charset=utf-8"),
        ("Zoë", "text/html;charset=UTF8"),
        ("Zoë", "text/html"),
        ("\ufeffZoë", "text/html"),
        ("Zoë", "text/plain"),
        ("Zo\u200bë  ", "text/plain; charset=utf-8"),
        ("<p>Zoë", "application/xhtml+xml"),
        ("Zoë".encode("latin-1"), "text/html; charset=ISO-8859-1"),
        ("Zoë".encode("latin-1"), 'text/html; charset="windows-1252"'),
        (b"<meta charset=latin1>Zo\xeb", "text/html"),
        (b'<meta http-equiv=x content="text/html; charset=windows-1252">Zo\xeb', "text/html"),
    ],
)
async def test_a_page_is_read_in_its_encoding(web: Web, body: str | bytes, kind: str) -> None:
    assert await read(web, page(body, kind)) == "Zoë"


async def test_a_page_is_read_up_to_so_many_characters(web: Web) -> None:
    assert await read(web, page("<p>one<p>two<p>three"), text=7) == "one\ntwo"
    assert await read(web, page("x" * 5000)) == "x" * 4000


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (page("", "text/html"), "shows no text"),
        (page("<script>1</script><p hidden>x", "text/html"), "shows no text"),
        (page("{}", "application/json"), "of type application/json, neither HTML nor plain text"),
        (page("%PDF", "application/pdf"), "neither HTML nor plain text"),
        (page("x", "text/html; charset=utf-16"), "encoded in utf-16, which is not read"),
        (page("<meta charset=shift_jis>", "text/html"), "encoded in shift_jis"),
        (page("x", "text/html; charset=\x1b[2J"), "which is not read"),
        (page("x" * 65_537), "over 65536 bytes"),
        (answer(b"", status="302 Found", headers="Location: /x\r\n"), "redirects are not followed"),
    ],
)
async def test_a_page_that_cannot_be_read_is_refused_before_a_model_is_asked(
    web: Web, source: bytes, why: str
) -> None:
    web.says["/v1"] = source
    backend = said("{}")
    with pytest.raises(Refuse, match=why) as refusal:
        await execute(reader(web), written_context(backend), asking(web))
    assert refusal.value.reason.isprintable()
    assert backend.asked == []


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        ('{"age": "31"}', "another type"),
        ('{"age": 151}', "out of range"),
        ("{}", "missing"),
        ("31", "another type"),
    ],
)
async def test_an_engine_that_does_not_hold_to_the_schema_is_refused(
    web: Web, answered: str, why: str
) -> None:
    web.says["/v1"] = page(ARTICLE)
    with pytest.raises(Refuse, match=why):
        await execute(reader(web), written_context(said(answered)), asking(web))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": ""}, "url"),
        ({"schema": {"type": "string"}}, "schema"),
        ({"schema": {"type": "object", "$ref": "#"}}, r"\$ref"),
        ({"question": ""}, "question"),
        ({"headers": {}}, "headers"),
    ],
)
def test_a_payload_that_cannot_be_answered_is_refused(change: dict[str, Any], why: str) -> None:
    payload = {"url": f"https://{HOST}/", "schema": SCHEMA, **change}
    with pytest.raises(Refuse, match=why):
        ReadPage().decode(json.dumps(payload).encode())


async def test_no_host_may_be_asked_that_nobody_named() -> None:
    payload = json.dumps({"url": f"https://{HOST}/", "schema": SCHEMA}).encode()
    with pytest.raises(Refuse, match="none of the hosts that may be asked"):
        await execute(ReadPage(), written_context(said("{}")), payload)


LEAKING = {
    "type": "object",
    "properties": {"said": {"type": "string", "maxLength": 100}, "owned": {"type": "boolean"}},
    "required": ["said", "owned"],
}
# Ways to put an attack into a page: as a person reads it, and as only a machine does.
PLACES = ("<p>{}</p>", "<title>{}</title>", "<p>ok</p><!-- {} -->", "<p>ok</p><i title='{}'></i>")


def obeying(request: Completion) -> str:
    """A model that gives in: it says what it was told, as far as its schema lets it."""
    everything = " ".join(message.content for message in request.messages)
    return json.dumps({"said": everything[-100:], "owned": True})


async def test_no_page_of_the_corpus_changes_what_is_asked_but_the_text(web: Web) -> None:
    agent = reader(web)
    payload = asking(web, schema=LEAKING)
    web.says["/v1"] = page("<p>Harmless.</p>")
    harmless = Written(obeying)
    await execute(agent, written_context(harmless), payload)
    texts = [each.text for each in attacks() if each.text and len(each.text) <= MAX_PAYLOAD]
    assert len(texts) > 150
    for number, text in enumerate(texts):
        escaped = html.escape(text, quote=True).encode("utf-8", "replace").decode()
        # Half of them keep their markup, so that it meets the reader of tags.
        inside = escaped if number % 2 else text.encode("utf-8", "replace").decode()
        place = PLACES[number % len(PLACES)]
        web.says["/v1"] = page(f"<p>begin</p>{place.format(inside)}")
        backend, before = Written(obeying), len(web.requests)
        ctx = written_context(backend)
        output = await execute(agent, ctx, payload)
        value = json.loads(output)
        assert rfc8785.dumps(value) == output
        assert set(value) == {"said", "owned"}
        (request,) = backend.asked
        expected = harmless.asked[0]
        assert request.messages[0] == expected.messages[0]
        assert [message.role for message in request.messages] == ["system", "user"]
        data = json.loads(request.messages[1].content)
        assert data.keys() == {"text", "schema"}
        assert data["schema"] == LEAKING
        assert data["text"].startswith("begin")
        assert not any(
            mark in request.messages[1].content for mark in ("<|", "[INST", "<s>", "</s")
        )
        for name in ("schema", "max_tokens", "temperature", "seed", "stop", "model", "logprobs"):
            assert getattr(request, name) == getattr(expected, name)
        assert len(web.requests) == before + 1
        assert [source.url for source in ctx.sources] == [web.url("/v1")]
    assert {request.line for request in web.requests} == {"GET /v1 HTTP/1.1"}


async def test_cancelling_a_run_leaves_no_connection(web: Web) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        while await reader.read(4096):
            pass
        writer.close()
        left.set()

    asked, left = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        allowed = web.policy(schemes=("http",), ports=(port,))
        agent = ReadPage(PageConfig(http=allowed))
        agent.pages = web.pages(allowed)
        payload = json.dumps({"url": f"http://{HOST}:{port}/", "schema": SCHEMA}).encode()
        run = asyncio.create_task(execute(agent, written_context(said("{}")), payload))
        await asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await asyncio.wait_for(left.wait(), 30)
