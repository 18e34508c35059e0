"""fetch@1: one value of a JSON API in the form that contracts read, and where it came from."""

import asyncio
import hashlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from coincurve import PrivateKey
from eth_abi.abi import decode, encode
from pydantic import ValidationError

from support.certificates import Authority, Certificate
from support.modes import check_context, intent_of, members
from support.pipelines import Node, two_chains
from support.scripted import scripted, sending
from support.web import DATE, HOST, Web, answer, certified, website
from vagus.agents import Agent, AgentRegistry, Budget, Context, evidence, execute
from vagus.agents.builtin.fetch import Fetch, FetchConfig
from vagus.agents.conformance import AgentConformance
from vagus.agents.document import read_evidence
from vagus.agents.modes import Result, check_result, combined, mode_of
from vagus.agents.sources import MAX_SOURCES
from vagus.daemon.journal.records import Stage
from vagus.protocol import ZERO32, Refuse, Retry, Status, Terms, agent_id


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Certificate]:
    return certified(tmp_path_factory.mktemp("web"))


@pytest.fixture
async def web(certificate: tuple[Authority, Certificate]) -> AsyncIterator[Web]:
    async with website(*certificate) as served:
        yield served


def fetcher(web: Web, **policy: Any) -> Fetch:
    """The agent on the internet that is not there."""
    allowed = web.policy(**policy)
    agent = Fetch(FetchConfig(http=allowed))
    agent.pages = web.pages(allowed)
    return agent


def run_of(agent: Agent, **changes: Any) -> Context:
    """A run without a model."""
    given: dict[str, Any] = {
        "intent_id": bytes(32),
        "agent_id": agent.manifest.agent_id,
        "route": None,
        "deadline": asyncio.get_running_loop().time() + 60,
        "budget": Budget(),
    }
    return Context(**{**given, **changes})


def asking(web: Web, path: str, **more: Any) -> bytes:
    return json.dumps({"url": web.url("/v1"), "path": path, **more}).encode()


async def fetched(web: Web, body: str | bytes, path: str, **more: Any) -> bytes:
    web.says["/v1"] = answer(body if isinstance(body, bytes) else body.encode())
    agent = fetcher(web)
    return await execute(agent, run_of(agent), asking(web, path, **more))


class TestFetch(AgentConformance):
    payload = b""  # the server's port is in it: see the fixture

    @pytest.fixture
    def agent(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> Agent:
        web.says["/v1"] = answer(b'{"price": 1.5}')
        monkeypatch.setattr(type(self), "payload", asking(web, "$.price", decimals=2))
        return fetcher(web)

    @pytest.fixture
    def context(self, agent: Agent) -> Callable[[], Context]:
        return lambda: run_of(agent)


@pytest.mark.parametrize(
    ("body", "decimals", "number"),
    [
        ("8.95", 8, 895_000_000),
        ("-40", 0, -40),
        ('"64123.12000000"', 8, 6_412_312_000_000),
        ('"-1e-3"', 3, -1),
        ("1e2", 0, 100),
        ("1.5E+3", 2, 150_000),
        ("0.1", 18, 10**17),
        ("9007199254740993", 0, 9007199254740993),
        ("9007199254740993.0", 0, 9007199254740993),
        ("0.123456789012345678901", 21, 123456789012345678901),
        (str(2**255 - 1), 0, 2**255 - 1),
        (str(-(2**255)), 0, -(2**255)),
        ("1", 76, 10**76),
        ("0", 77, 0),
        ("-0", 0, 0),
        ("-0.0", 5, 0),
        ("0e9999", 5, 0),
        ("1e-9999", 77, 0),
        ("2.5", 0, 2),  # rounded half to even
        ("3.5", 0, 4),
        ("-2.5", 0, -2),
        ("0.50000000000000000000001", 0, 1),
        ("0." + "9" * 900, 2, 100),
    ],
)
async def test_a_number_is_an_int256_of_so_many_decimals(
    web: Web, body: str, decimals: int, number: int
) -> None:
    output = await fetched(web, f'{{"a": [{body}]}}', "$.a[0]", decimals=decimals)
    assert output == encode(["int256"], [number])
    assert decode(["int256"], output) == (number,)


@pytest.mark.parametrize(
    ("body", "decimals"),
    [
        (str(2**255), 0), (str(-(2**255) - 1), 0), ("1", 77), ("1e77", 0), ("1e9999", 0),
        ("9" * 4000, 0), ("true", 0), ("null", 0), ('""', 0), ('" 1"', 0), ('"+1"', 0), ('"0x1"', 0),
        ('"1_000"', 0), ('"1,000"', 0), ('"01"', 0), ('"NaN"', 0), ('"Infinity"', 0), ('"1."', 0),
        ('"\u0661"', 0), ('"' + "9" * 1001 + '"', 0), ("[1]", 0), ("{}", 0), ('"1e99999"', 0),
    ],
)  # fmt: skip
async def test_what_is_no_number_of_an_int256_is_refused(
    web: Web, body: str, decimals: int
) -> None:
    with pytest.raises(Refuse, match=r"selects no number|does not fit into an int256"):
        await fetched(web, f'{{"a": {body}}}', "$.a", decimals=decimals)


@pytest.mark.parametrize(
    ("body", "kind", "output"),
    [
        ('"Gr\\u00fc\\u00dfe"', "string", "Grüße".encode()),
        ('""', "string", b""),
        ("true", "boolean", encode(["bool"], [True])),
        ("false", "boolean", encode(["bool"], [False])),
        ("null", "json", b"null"),
        ('{"b": [1.50, 1e21, -0.0, "é"], "a": true}', "json",
         rfc8785.dumps({"b": [1.5, 1e21, -0.0, "é"], "a": True})),
        ("0.1000000000000000000000001", "json", b"0.1"),
    ],
)  # fmt: skip
async def test_texts_truth_values_and_json_have_a_form_of_their_own(
    web: Web, body: str, kind: str, output: bytes
) -> None:
    assert await fetched(web, f'{{"a": {body}}}', "$.a", type=kind) == output


@pytest.mark.parametrize(
    ("body", "path", "more", "why"),
    [
        ('{"a": 1}', "$.b", {}, "selects nothing"),
        ('{"a": [1, 2]}', "$.a[*]", {}, "selects several values"),
        ('{"a": 1}', "$.a", {"type": "string"}, "selects no string"),
        ('{"a": 1}', "$.a", {"type": "boolean"}, "selects no boolean"),
        ('{"a": "true"}', "$.a", {"type": "boolean"}, "selects no boolean"),
        ('{"a": 9007199254740993}', "$.a", {"type": "json"}, "no RFC 8785 form"),
        ('{"a": 1e9999}', "$.a", {"type": "json"}, "no RFC 8785 form"),
        ('{"a": 1, "a": 2}', "$.a", {}, "a key occurs twice"),
        ('{"a": NaN}', "$.a", {}, "NaN is no JSON number"),
        ('{"a": 1.' + "0" * 1000 + "}", "$.a", {}, "over 1000 digits"),
        ('{"a": 1e-99999}', "$.a", {}, "an exponent of over 4"),
        ('{"a": ' + "[" * 32 + "]" * 32 + "}", "$.a", {}, "nested over 32 levels"),
        ("<html>", "$.a", {}, "the body is not JSON"),
        ("", "$.a", {}, "the body is not JSON"),
        (b'{"a": "\xff"}', "$.a", {}, "the body is not UTF-8"),
        ('{"a": "' + "x" * 8193 + '"}', "$.a", {"type": "string"}, "at most 8192"),
        ('{"a": "' + "x" * 65_536 + '"}', "$.a", {"type": "string"}, "over 65536 bytes"),
        (json.dumps([[0] * 100] * 200), "$..[?@..[?@..*]]", {}, "over 50000 steps"),
    ],
)  # fmt: skip
async def test_an_answer_that_has_no_such_value_is_refused_in_words(
    web: Web, body: str | bytes, path: str, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        await fetched(web, body, path, **more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "$.a["}, "path: the path is no JSONPath"),
        ({"path": "$[?match(@, 'a')]"}, "path: the path is no JSONPath"),
        ({"path": ""}, "path"),
        ({"url": ""}, "url"),
        ({"type": "float"}, "type"),
        ({"decimals": 78}, "decimals"),
        ({"decimals": -1}, "decimals"),
        ({"decimals": True}, "decimals"),
        ({"type": "string", "decimals": 2}, "decimals are of a number"),
        ({"method": "PUT"}, "method"),
        ({"method": "POST"}, "a POST has a body"),
        ({"body": {}}, "a GET has none"),
        ({"method": "POST", "body": 2**60}, "payload: "),
        ({"headers": {"accept": 1}}, "headers.accept"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_payload_that_cannot_be_answered_is_refused_before_anybody_is_asked(
    change: dict[str, Any], why: str
) -> None:
    payload = {"url": f"https://{HOST}/", "path": "$.a", **change}
    with pytest.raises(Refuse, match=why):
        Fetch().decode(json.dumps(payload).encode())


async def test_no_host_may_be_asked_that_nobody_named(web: Web) -> None:
    agent = fetcher(web, hosts=())
    with pytest.raises(Refuse, match=r"api\.example\.org is none of the hosts that may be asked"):
        await execute(agent, run_of(agent), asking(web, "$.a"))
    assert web.requests == []
    assert AgentRegistry({"fetch@1": {}}).get("fetch@1").config == FetchConfig()
    assert FetchConfig().http.hosts == ()


async def test_a_get_says_what_the_payload_asks_for_and_no_more(web: Web) -> None:
    await fetched(web, '{"a": 1}', "$.a", headers={"accept": "application/json;q=1"})
    (request,) = web.requests
    assert request.line == "GET /v1 HTTP/1.1"
    assert request.headers.pop("host") == f"{HOST}:{web.port}"
    assert request.headers == {
        "accept": "application/json;q=1",
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "vagus",
    }
    assert web.names == [HOST]


async def test_a_post_carries_the_bodys_canonical_json(web: Web) -> None:
    web.says["/v1"] = answer(b'{"result": "0x10"}')
    agent = fetcher(web, post_hosts=(HOST,))
    call = {"method": "eth_chainId", "jsonrpc": "2.0", "id": 1.0, "params": []}
    ctx = run_of(agent)
    payload = asking(web, "$.result", type="string", method="POST", body=call)
    assert await execute(agent, ctx, payload) == b"0x10"
    (request,) = web.requests
    sent = b'{"id":1,"jsonrpc":"2.0","method":"eth_chainId","params":[]}'
    assert (request.line, request.body) == ("POST /v1 HTTP/1.1", sent)
    assert request.headers["content-type"] == "application/json"
    assert ctx.sources[0].sent == hashlib.sha256(sent).digest()


async def test_a_host_that_is_not_named_for_it_is_sent_no_post(web: Web) -> None:
    agent = fetcher(web)
    with pytest.raises(Refuse, match="none of the hosts that may be sent a POST"):
        await execute(agent, run_of(agent), asking(web, "$.a", method="POST", body={}))
    assert web.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer x"}, {"cookie": "a=b"}, {"host": "inside"}, {"Host": "inside"},
        {"connection": "keep-alive"}, {"transfer-encoding": "chunked"}, {"content-length": "0"},
        {"x-forwarded-for": "127.0.0.1"}, {"x-http-method-override": "DELETE"}, {"range": "bytes=0-1"},
        {"user-agent": "curl"}, {"proxy-authorization": "x"}, {"accept-encoding": "gzip"},
        {"content-type": "text/plain"}, {"x-api-key": "k"}, {"Accept": "a"}, {"": "a"},
        {"accept": ""}, {"accept": " a"}, {"accept": "a\r\nHost: inside"}, {"accept": "a\nb"},
        {"accept": "é"}, {"accept": "a" * 257}, {"accept": "\x00"}, {"accept": "a\tb"},
    ],
)  # fmt: skip
async def test_a_header_that_was_not_named_or_may_be_misread_is_never_sent(
    web: Web, headers: dict[str, str]
) -> None:
    with pytest.raises(Refuse, match=r"none of the headers|no value of visible ASCII"):
        await fetched(web, '{"a": 1}', "$.a", headers=headers)
    assert web.requests == []


@pytest.mark.parametrize(
    "name",
    ["authorization", "cookie", "host", "connection", "te", "proxy-x", "sec-fetch-mode", "x-real-ip",
     "x-forwarded-host", "x-http-method-override", "content-length", "content-type", "user-agent",
     "if-none-match", "range", "Accept", "accept ", "a:b", "", "é"],
)  # fmt: skip
def test_no_config_can_name_a_header_that_speaks_for_the_node(name: str) -> None:
    with pytest.raises(ValidationError):
        FetchConfig.model_validate({"http": {"hosts": [HOST], "headers": [name]}})


def test_a_config_bounds_what_is_parsed_and_posts_to_its_hosts_alone() -> None:
    with pytest.raises(ValidationError, match="max_bytes is at most 1048576"):
        FetchConfig.model_validate({"http": {"hosts": [HOST], "max_bytes": (1 << 20) + 1}})
    with pytest.raises(ValidationError, match=r"post_hosts has a\.test, which hosts has not"):
        FetchConfig.model_validate({"http": {"hosts": [HOST], "post_hosts": ["a.test"]}})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("503 Unavailable", Retry), ("429 Slow", Retry), ("404 Not Found", Refuse),
        ("401 Unauthorized", Refuse), ("302 Found", Refuse), ("201 Created", Refuse),
    ],
)  # fmt: skip
async def test_each_other_status_says_what_to_do(
    web: Web, status: str, error: type[Exception]
) -> None:
    web.says["/v1"] = answer(b'{"a": 1}', status=status, headers="Location: https://inside/\r\n")
    agent = fetcher(web)
    with pytest.raises(error):
        await execute(agent, run_of(agent), asking(web, "$.a"))
    assert len(web.requests) == 1


async def test_a_server_whose_certificate_nobody_vouches_for_is_refused(
    web: Web, tmp_path: Path
) -> None:
    web.says["/v1"] = answer(b'{"a": 1}')
    web.authority = Authority(tmp_path, "another").path
    agent = fetcher(web)
    with pytest.raises(Refuse, match="no certificate that is valid"):
        await execute(agent, run_of(agent), asking(web, "$.a"))


async def result_of(agent: Agent, payload: bytes, executor: bytes = members(1)[0]) -> Result:
    """A member's run, as a node does it."""
    intent = intent_of(agent, payload)
    ctx = run_of(agent, intent_id=intent.id)
    output = await execute(agent, ctx, payload)
    proof = evidence.build(
        intent, agent.manifest, ctx.calls, output,
        executor=executor, started=1, finished=2, sources=ctx.sources,
    )  # fmt: skip
    return Result(output, agent.manifest.digest, ZERO32, proof.data)


async def test_the_evidence_says_where_the_value_came_from(
    web: Web, certificate: tuple[Authority, Certificate]
) -> None:
    body, before = b'{"price": 1.5}', time.time_ns() // 1_000_000
    web.says["/v1"] = answer(body, kind="application/json; charset=utf-8")
    agent = fetcher(web)
    payload = asking(web, "$.price", decimals=1)
    result = await result_of(agent, payload)
    check_result(agent.manifest, intent_of(agent, payload), Terms(), result)
    (source,) = json.loads(result.evidence)["sources"]
    read_at = source.pop("read_at")
    assert before <= read_at <= time.time_ns() // 1_000_000
    shown = subprocess.run(
        ["openssl", "x509", "-in", certificate[1].certificate, "-outform", "DER"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert source == {
        "url": web.url("/v1"),
        "method": "GET",
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
        "media_type": "application/json",
        "address": "127.0.0.1",
        "date": 784_111_777,
        "certificate": {
            "sha256": hashlib.sha256(shown.stdout).hexdigest(),
            "issuer": "commonName=authority",
            "names": [HOST, "www.example.org"],
        },
    }


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", "-1", "\xff"])
async def test_a_date_that_is_none_is_left_out(web: Web, date: str) -> None:
    whole = answer(b'{"a": 1}').replace(DATE.encode(), date.encode("latin-1"))
    web.says["/v1"] = whole
    agent = fetcher(web)
    ctx = run_of(agent)
    assert await execute(agent, ctx, asking(web, "$.a")) == encode(["int256"], [1])
    assert ctx.sources[0].date is None


async def test_a_run_cites_as_many_sources_as_the_evidence_has_room_for(web: Web) -> None:
    web.says["/v1"] = answer(b"{}")
    page = await web.pages(web.policy()).get(web.url("/v1"))
    ctx = run_of(Fetch())
    for _ in range(MAX_SOURCES):
        ctx.cite(page.source)
    with pytest.raises(Refuse, match=f"more than {MAX_SOURCES} sources"):
        ctx.cite(page.source)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "00"}, {"size": -1}, {"method": "DELETE"}, {"url": "x" * 2049}, {"more": 1},
        {"read_at": None}, {"certificate": {"sha256": "0" * 64}}, {"date": "now"},
        {"certificate": {"sha256": "0" * 64, "issuer": "", "names": ["a"] * 9}},
    ],
)  # fmt: skip
async def test_a_source_of_another_shape_is_no_evidence(web: Web, change: dict[str, Any]) -> None:
    web.says["/v1"] = answer(b'{"a": 1}')
    document = json.loads((await result_of(fetcher(web), asking(web, "$.a"))).evidence)
    document["sources"][0].update(change)
    with pytest.raises(Refuse, match="not understood"):
        read_evidence(rfc8785.dumps(document))


async def revealed(web: Web, bodies: list[str], payload: bytes) -> dict[bytes, Result]:
    """What members found who asked one after the other."""
    found = {}
    for member, body in zip(members(len(bodies)), bodies, strict=True):
        web.says["/v1"] = answer(body.encode())
        found[member] = await result_of(fetcher(web), payload, member)
    return found


async def test_members_who_read_different_numbers_agree_on_the_median(web: Web) -> None:
    payload = asking(web, "$.price", decimals=2)
    agent = fetcher(web)
    results = await revealed(web, ["[1]", "[2]", "[3]"], asking(web, "$[0]"))
    assert len({result.output for result in results.values()}) == 3
    prices = ['{"price": 100.01}', '{"price": "100.03"}', '{"price": 1e9}', '{"price": 100.02}']
    results = await revealed(web, prices, payload)
    verifier = mode_of(agent.manifest).for_value(agent, agent.decode(payload))
    leader = members(4)[1]
    made = combined(verifier, intent_of(agent, payload), results, leader)
    assert decode(["int256"], made.output) == (10_002,)  # the lower one of two
    document = read_evidence(made.evidence)
    assert len(document.results) == 4
    assert document.sources == read_evidence(results[leader].evidence).sources
    for me, own in results.items():
        ctx = check_context(agent, payload, member=me, revealed=results)
        verdict = await verifier.check(ctx, own, made)
        assert verdict.right, verdict.reason


@pytest.mark.parametrize("kind", ["string", "json"])
async def test_members_who_read_different_texts_do_not_agree_though_they_are_words_long(
    web: Web, kind: str
) -> None:
    payload = asking(web, "$", type=kind)
    agent = fetcher(web)
    texts = [json.dumps(letter * (32 if kind == "string" else 30)) for letter in "abc"]
    mine, theirs, _ = (await revealed(web, texts, payload)).values()
    assert len(mine.output) == 32
    verifier = mode_of(agent.manifest).for_value(agent, agent.decode(payload))
    assert verifier.runs_again
    assert not verifier.combines
    ctx = check_context(agent, payload)
    assert not (await verifier.check(ctx, mine, theirs)).right
    assert (await verifier.check(ctx, theirs, theirs)).right


@pytest.mark.parametrize("named", [True, False])
async def test_a_node_attests_a_value_with_its_source_or_refuses_a_host_in_words(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.setattr("vagus.agents.builtin.fetch.GuardedHttp", web.pages)
    web.says["/v1"] = answer(b'{"price": 1.5}')
    policy = web.policy(hosts=(HOST,) if named else ("another.example.org",))
    key = PrivateKey(bytes(31) + b"\x07")
    async with scripted(sending(b"")) as model, two_chains(key) as (a, b):
        agents = {"fetch@1": {"http": policy.model_dump(mode="json")}}
        node = Node(tmp_path, model.base_url, key, a, b, agents=agents)
        async with node.start():
            record = await node.ask(asking(web, "$.price"), agent_id=agent_id("fetch@1"))
            await node.carry_to(record, Stage.ATTESTED)
            assert record.attestation is not None
            data = await node.journal.evidence(record.attestation.evidence_hash)
    assert data is not None
    assert model.requests == []
    if named:
        assert (record.status, record.output) == (Status.FULFILLED, encode(["int256"], [2]))
        assert record.attestation.model_digest == ZERO32
        assert [each.url for each in read_evidence(data).sources] == [web.url("/v1")]
    else:
        assert (record.status, record.output) == (Status.REFUSED, b"")
        assert record.reason == "api.example.org is none of the hosts that may be asked"
