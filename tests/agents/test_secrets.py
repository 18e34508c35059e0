"""A requester's secrets: sent as a header to their own host alone, and told to nobody else."""

import asyncio
import base64
import json
import traceback
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from coincurve import PrivateKey

from support.certificates import Authority, Certificate
from support.modes import intent_of
from support.web import HOST, Web, answer, certified, website
from vagus.agents import Budget, Context, evidence, execute
from vagus.agents.builtin.fetch import Fetch, FetchConfig
from vagus.daemon.sealed import Opener
from vagus.daemon.transport_key import TransportKey
from vagus.protocol import Intent, Refuse, Retry
from vagus.protocol.sealing import seal, secret_context

KEY = TransportKey(PrivateKey(bytes(31) + b"\x08"))
OTHER = TransportKey(PrivateKey(bytes(31) + b"\x09"))
VALUE = "Bearer canary-7f3a91"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Certificate]:
    return certified(tmp_path_factory.mktemp("web"))


@pytest.fixture
async def web(certificate: tuple[Authority, Certificate]) -> AsyncIterator[Web]:
    async with website(*certificate) as served:
        served.says["/v1"] = answer(b'{"price": 2}')
        yield served


def fetcher(web: Web, **policy: Any) -> Fetch:
    allowed = web.policy(**policy)
    agent = Fetch(FetchConfig(http=allowed))
    agent.pages = web.pages(allowed)
    return agent


def sealed(
    agent: Fetch, intent: Intent, host: str = HOST, value: str = VALUE, **changes: Any
) -> str:
    words = {
        "origin_hub": intent.origin_hub,
        "requester": intent.requester,
        "agent_id": intent.agent_id,
        **changes,
    }
    context = secret_context(host=host, **words)
    return base64.b64encode(seal(value.encode(), [OTHER.x25519, KEY.x25519], context)).decode()


def asking(web: Web, name: str, secret: str, **more: Any) -> bytes:
    fields = {"url": web.url("/v1"), "path": "$.price", "secrets": {name: secret}, **more}
    return json.dumps(fields).encode()


async def fetched(
    agent: Fetch, intent: Intent, payload: bytes, key: TransportKey | None = KEY
) -> tuple[bytes, Context]:
    """Run as a node does: what the agent names is opened first."""
    record: Any = SimpleNamespace(intent=intent)
    ctx = Context(
        intent_id=bytes(32),
        agent_id=agent.manifest.agent_id,
        route=None,
        deadline=asyncio.get_running_loop().time() + 60,
        budget=Budget(),
        secrets=Opener(key).secrets(record, agent.sealed(agent.decode(payload))),
    )
    return await execute(agent, ctx, payload), ctx


async def test_a_secret_reaches_its_host_and_no_evidence_and_no_log(web: Web) -> None:
    agent = fetcher(web)
    payload = b"later"
    intent = intent_of(agent, payload)
    payload = asking(web, "authorization", sealed(agent, intent))
    with structlog.testing.capture_logs() as logs:
        output, ctx = await fetched(agent, intent, payload)
    assert int.from_bytes(output, "big") == 2
    (request,) = web.requests
    assert request.headers["authorization"] == VALUE
    proof = evidence.build(
        intent,
        agent.manifest,
        (),
        output,
        executor=bytes(20),
        started=0,
        finished=1,
        sources=ctx.sources,
    )
    assert VALUE.encode() not in proof.data
    assert b"canary" not in proof.data
    assert "canary" not in repr(logs)


async def test_it_goes_with_a_post_too(web: Web) -> None:
    agent = fetcher(web, post_hosts=(HOST,))
    intent = intent_of(agent, b"")
    payload = asking(web, "x-api-key", sealed(agent, intent), method="POST", body={"q": 1})
    await fetched(agent, intent, payload)
    (request,) = web.requests
    assert request.headers["x-api-key"] == VALUE


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "other.example.org"},
        {"requester": bytes(32)},
        {"agent_id": bytes(32)},
        {"origin_hub": bytes(32)},
    ],
)
async def test_it_is_of_no_use_for_another_host_requester_agent_or_chain(
    web: Web, changes: dict[str, Any]
) -> None:
    agent = fetcher(web)
    intent = intent_of(agent, b"")
    payload = asking(web, "authorization", sealed(agent, intent, **changes))
    with pytest.raises(Refuse, match="a secret can't be opened: it is damaged, or was sealed for"):
        await fetched(agent, intent, payload)
    assert web.requests == []


async def test_a_member_that_it_is_not_sealed_to_leaves_it_to_the_others(web: Web) -> None:
    agent = fetcher(web)
    intent = intent_of(agent, b"")
    stranger = TransportKey(PrivateKey(bytes(31) + b"\x0a"))
    payload = asking(web, "authorization", sealed(agent, intent))
    with pytest.raises(Retry, match="a secret is sealed to other members than this one"):
        await fetched(agent, intent, payload, stranger)
    assert web.requests == []


async def test_it_is_never_sent_in_the_clear_or_as_another_header(web: Web) -> None:
    agent = fetcher(web, schemes=("https", "http"))
    intent = intent_of(agent, b"")
    secret = sealed(agent, intent)
    plain = asking(web, "authorization", secret, url=web.url("/v1").replace("https", "http"))
    with pytest.raises(Refuse, match=r"^secrets are sent by https alone$"):
        await fetched(agent, intent, plain)
    for name in ("host", "cookie", "x-forwarded-for", "Authorization", "a\nb"):
        with pytest.raises(Refuse, match="none of the headers that a secret may be sent as"):
            await fetched(agent, intent, asking(web, name, secret))
    assert web.requests == []


@pytest.mark.parametrize(
    "value", ["canary\r\nx-evil: 1", "canary\n", " canary", "canärry", "c" * 1025]
)
async def test_what_is_no_header_value_is_refused_and_not_quoted(web: Web, value: str) -> None:
    agent = fetcher(web)
    intent = intent_of(agent, b"")
    payload = asking(web, "authorization", sealed(agent, intent, value=value))
    with pytest.raises(Refuse) as refusal:
        await fetched(agent, intent, payload)
    assert "can" not in refusal.value.reason.replace("can't", "")
    assert "cccc" not in "".join(traceback.format_exception(refusal.value))
    assert web.requests == []


async def test_what_is_no_sealed_text_is_refused_before_anything_is_asked(web: Web) -> None:
    agent = fetcher(web)
    for text in ("", "%%%", base64.b64encode(b"plain").decode()):
        with pytest.raises(Refuse):
            await fetched(agent, intent_of(agent, b""), asking(web, "authorization", text))
    assert web.requests == []


async def test_a_run_whose_node_opened_none_says_so(web: Web) -> None:
    agent = fetcher(web)
    payload = asking(web, "authorization", sealed(agent, intent_of(agent, b"")))
    deadline = asyncio.get_running_loop().time() + 60
    ctx = Context(
        intent_id=bytes(32), agent_id="fetch@1", route=None, deadline=deadline, budget=Budget()
    )
    with pytest.raises(Refuse, match="this run has no such secret"):
        await execute(agent, ctx, payload)
    assert web.requests == []


@pytest.mark.parametrize("text", ["%%%", "abc"])
def test_what_is_no_base64_is_said_in_words(text: str) -> None:
    fields = {
        "url": "https://api.example.org/v1",
        "path": "$.price",
        "secrets": {"Authorization": text},
    }
    with pytest.raises(Refuse, match="no base64, as `vagus secret seal` prints it"):
        Fetch().decode(json.dumps(fields).encode())
