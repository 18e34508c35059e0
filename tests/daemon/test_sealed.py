"""Sealed payloads on a node: members alone read them, and backends alone that prove what they run."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from support.agents import Written
from support.chain import ScriptedChain
from support.pipelines import PAYLOAD, A, Node, two_chains
from support.scripted import GOOD, Request, Scripted, response, scripted
from support.web import answer, certified, website
from vagus.agents.builtin.chat import Chat
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, ConfidentialConfig
from vagus.compute.sandbox.ionet_confidential import ConfidentialSandbox
from vagus.daemon.journal.records import Stage
from vagus.daemon.sealed import UNTOLD, Opener
from vagus.daemon.transport_key import TransportKey
from vagus.daemon.work import IntentWork
from vagus.protocol import Retry, Status, Terms, agent_id, hub_id
from vagus.protocol.sealing import payload_context, seal, unseal

KEY = PrivateKey(bytes(31) + b"\x07")
TRANSPORT = TransportKey(PrivateKey(bytes(31) + b"\x08"))
OTHER = TransportKey(PrivateKey(bytes(31) + b"\x09"))
REQUESTER = bytes(12) + b"\x44" * 20
CONTEXT = payload_context(hub_id(A), REQUESTER, agent_id("chat@1"))


@pytest.fixture
async def chains() -> AsyncIterator[tuple[ScriptedChain, ScriptedChain]]:
    async with two_chains(KEY) as pair:
        yield pair


@pytest.fixture
def written() -> Written:
    return Written(lambda _: "Paris")


@contextlib.asynccontextmanager
async def trusting(
    signers: tuple[str, ...], base_url: str, folder: Path, api_key: str = "sk"
) -> AsyncIterator[ConfidentialBackend]:
    """A backend that trusts these keys."""
    key = folder / "key"
    key.touch(0o600)
    key.write_text(api_key)
    config = ConfidentialConfig(
        name="confidential",
        base_url=base_url,
        models=("written",),
        api_key_file=key,
        signers=signers,
    )
    async with ConfidentialBackend(config) as backend:
        yield backend


@pytest.fixture
async def confidential(written: Written, tmp_path: Path) -> AsyncIterator[ConfidentialBackend]:
    """One that trusts the sandbox's key, whose holder has proven that it has it: no enclave, for all that."""
    async with (
        ConfidentialSandbox(written) as sandbox,
        trusting((sandbox.address,), sandbox.base_url, tmp_path, sandbox.api_key) as backend,
    ):
        yield backend


def node_of(
    folder: Path,
    model: Scripted,
    chains: tuple[ScriptedChain, ScriptedChain],
    *entered: ConfidentialBackend,
) -> Node:
    return Node(folder, model.base_url, KEY, *chains, entered=entered, opener=Opener(TRANSPORT))


async def test_a_sealed_question_is_answered_by_a_backend_that_proves_what_it_runs(
    tmp_path: Path,
    model: Scripted,
    written: Written,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    node = node_of(tmp_path, model, chains, confidential)
    sealed = seal(PAYLOAD, [OTHER.x25519, TRANSPORT.x25519], CONTEXT)
    async with node.start():
        record = await node.ask(sealed)
        await node.carry(record)
    assert (record.status, record.output) == (Status.FULFILLED, b"Paris")
    assert record.backend == "confidential/written"
    assert model.requests == []
    probe, asked = written.asked
    assert "capital of France" not in probe.messages[-1].content
    assert "capital of France" in asked.messages[-1].content
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("journal.sqlite*"))
    assert sealed in kept
    assert b"capital of France" not in kept


async def test_without_such_a_backend_it_is_refused(
    tmp_path: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain]
) -> None:
    node = node_of(tmp_path, model, chains)
    async with node.start():
        record = await node.ask(seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT))
        await node.carry(record)
    assert record.status == Status.REFUSED
    assert record.reason == (
        "no backend is left by the privacy confidential: it goes to backends alone that prove what they run first"
    )
    assert model.requests == []


async def test_a_backend_that_pins_no_key_is_not_such_a_one(
    tmp_path: Path,
    model: Scripted,
    written: Written,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    async with (
        ConfidentialSandbox(written) as sandbox,
        trusting((), sandbox.base_url, tmp_path, sandbox.api_key) as backend,
    ):
        node = node_of(tmp_path, model, chains, backend)
        async with node.start():
            record = await node.ask(seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT))
            await node.carry(record)
    assert record.status == Status.REFUSED
    assert record.reason.startswith("no backend is left by the privacy confidential")
    assert (written.asked, model.requests) == ([], [])


@pytest.mark.parametrize("names", ["0x" + "11" * 20, "0x" + "22" * 20], ids=["pinned", "another"])
async def test_a_server_that_echoes_the_nonce_and_names_any_key_never_sees_a_sealed_question(
    names: str, tmp_path: Path, model: Scripted, chains: tuple[ScriptedChain, ScriptedChain]
) -> None:
    async def impostor(request: Request) -> None:
        asked = json.loads(request.body)
        nonce = asked.get("nonce", "").ljust(64, "0")
        await request.send(response({**GOOD, "nonce": nonce, "signing_address": names}))

    async with (
        scripted(impostor) as server,
        trusting(("0x" + "11" * 20,), server.base_url, tmp_path) as backend,
    ):
        node = node_of(tmp_path, model, chains, backend)
        async with node.start():
            record = await node.ask(seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT))
            await node.carry_to(record, Stage.ROUTED)
            with pytest.raises(Retry):
                await node.carry_to(record, Stage.EXECUTED)
    assert record.output == b""
    assert server.requests
    assert all(b"capital of France" not in each.body for each in server.requests)
    assert model.requests == []


async def test_terms_that_ask_for_privacy_keep_an_open_question_from_other_backends(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    node = node_of(tmp_path, model, chains, confidential)
    async with node.start():
        record = await node.ask(terms=Terms(privacy="confidential").encode())
        await node.carry(record)
    assert (record.status, record.backend) == (Status.FULFILLED, "confidential/written")
    assert model.requests == []


async def test_a_copied_ciphertext_is_refused_for_another_requester(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    written: Written,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    node = node_of(tmp_path, model, chains, confidential)
    sealed = seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT)
    async with node.start():
        record = await node.ask(sealed, requester=bytes(12) + b"\x55" * 20)
        await node.carry(record)
    assert record.status == Status.REFUSED
    assert record.reason == (
        "the payload can't be opened: it is damaged, or was sealed for another use than this"
    )
    assert written.asked == []


async def test_a_member_it_is_not_sealed_to_waits_for_the_others(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    node = node_of(tmp_path, model, chains, confidential)
    async with node.start():
        record = await node.ask(seal(PAYLOAD, [OTHER.x25519], CONTEXT))
        with pytest.raises(Retry, match="sealed to other members than this one"):
            await node.carry_to(record, Stage.ROUTED)
        assert record.stage == Stage.FINAL


async def test_what_a_sealed_question_has_read_is_not_in_the_evidence(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with website(*certified(tmp_path)) as web:
        monkeypatch.setattr("vagus.agents.builtin.fetch.GuardedHttp", web.pages)
        web.says["/of/alice"] = answer(b'{"age": 31}')
        payload = json.dumps({"url": web.url("/of/alice"), "path": "$.age"}).encode()
        node = node_of(tmp_path, model, chains, confidential)
        node.agents = {"fetch@1": {"http": web.policy().model_dump(mode="json")}}
        asked = agent_id("fetch@1")
        sealed = seal(payload, [TRANSPORT.x25519], payload_context(hub_id(A), REQUESTER, asked))
        async with node.start():
            record = await node.ask(sealed, agent_id=asked)
            await node.carry(record)
            assert record.attestation is not None
            evidence = await node.journal.evidence(record.attestation.evidence_hash)
    assert (record.status, int.from_bytes(record.output, "big")) == (Status.FULFILLED, 31)
    assert evidence is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("journal.sqlite*"))
    assert b"alice" not in evidence + kept


NAME = "alice-of-ward-nine"
URL = f"https://{NAME}.example.org/"
OBJECT: dict[str, Any] = {"type": "object"}
# Of each built-in agent: what it refuses unread, and what once its model has written `NAME`.
REFUSED: list[tuple[str, Mapping[str, object]]] = [
    ("chat@1", {"prompt": "x", NAME: 1}),
    ("choose@1", {"prompt": "x", "choices": ["a", "b"], NAME: 1}),
    ("choose@1", {"prompt": "x", "choices": ["a", "b"]}),
    ("number@1", {"prompt": "x", "min": "1", "max": "2", NAME: 1}),
    ("number@1", {"prompt": "x", "min": "1", "max": "2"}),
    ("extract@1", {"text": "x", "schema": OBJECT, NAME: 1}),
    ("extract@1", {"text": "x", "schema": OBJECT | {"properties": {NAME: {"$ref": "#"}}}}),
    ("extract@1", {"text": "x", "schema": OBJECT | {NAME: 1}}),
    ("extract@1", {"text": "x", "schema": OBJECT}),
    ("fetch@1", {"url": "x", "path": "$.a", NAME: 1}),
    ("fetch@1", {"url": URL, "path": f"$.{NAME}["}),
    ("fetch@1", {"url": URL, "path": "$.a"}),
    ("fetch@1", {"url": URL, "path": "$.a", "headers": {NAME: "1"}}),
    ("page@1", {"url": URL, "schema": OBJECT, NAME: 1}),
    ("page@1", {"url": URL, "schema": OBJECT}),
]


def test_each_built_in_agent_has_its_refusals() -> None:
    installed = entry_points(group="vagus.agents")
    built_in = {each.name for each in installed if each.value.startswith("vagus.agents.builtin.")}
    assert {name.removesuffix("@1") for name, _ in REFUSED} == built_in


@pytest.mark.parametrize(("name", "payload"), REFUSED)
async def test_why_a_sealed_question_is_refused_quotes_nothing_of_it(
    name: str,
    payload: Mapping[str, object],
    tmp_path: Path,
    model: Scripted,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    async with (
        ConfidentialSandbox(Written(lambda _: NAME)) as sandbox,
        trusting((sandbox.address,), sandbox.base_url, tmp_path, sandbox.api_key) as backend,
    ):
        node = node_of(tmp_path, model, chains, backend)
        node.agents = {name: {}}
        asked, plain = agent_id(name), json.dumps(payload).encode()
        context = payload_context(hub_id(A), REQUESTER, asked)
        async with node.start():
            record = await node.ask(seal(plain, [TRANSPORT.x25519], context), agent_id=asked)
            await node.carry(record)
    assert (record.status, record.reason) == (Status.REFUSED, UNTOLD)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("journal.sqlite*"))
    assert UNTOLD.encode() in kept
    assert NAME.encode() not in kept


async def test_why_a_sealed_question_waits_quotes_nothing_of_it_either(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with website(*certified(tmp_path)) as web:
        monkeypatch.setattr("vagus.agents.builtin.fetch.GuardedHttp", web.pages)
        web.says["/"] = b""
        payload = json.dumps({"url": web.url("/"), "path": "$.age"}).encode()
        node = node_of(tmp_path, model, chains, confidential)
        node.agents = {"fetch@1": {"http": web.policy().model_dump(mode="json")}}
        asked = agent_id("fetch@1")
        sealed = seal(payload, [TRANSPORT.x25519], payload_context(hub_id(A), REQUESTER, asked))
        async with node.start():
            open_one, record = [await node.ask(each, agent_id=asked) for each in (payload, sealed)]
            with pytest.raises(Retry, match=r"example\.org can't be reached"):
                await node.carry_to(open_one, Stage.EXECUTED)
            with pytest.raises(Retry) as caught:
                await node.carry_to(record, Stage.EXECUTED)
    assert caught.value.reason == UNTOLD


async def test_why_a_member_is_against_an_answer_to_a_sealed_question_quotes_nothing_of_it(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
) -> None:
    node, why = node_of(tmp_path, model, chains, confidential), []
    async with node.start():
        for payload in (PAYLOAD, seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT)):
            terms = Terms(privacy="confidential").encode()
            record = await node.ask(payload, terms)
            await node.carry_to(record, Stage.ROUTED)
            work = IntentWork(node.pipeline._executor, record, node.b.chain, lambda: 60)
            own = await work.attempt()
            lied = replace(own.outcome, output=b"London")
            verdict = await work.check(own, lied, node.pipeline._executor.signer, {})
            assert not verdict.right
            why.append(verdict.reason)
    assert why == ["the evidence is of another output", UNTOLD]


async def test_a_sealed_question_is_opened_and_read_once_to_route_it_and_once_to_run_it(
    tmp_path: Path,
    model: Scripted,
    confidential: ConfidentialBackend,
    chains: tuple[ScriptedChain, ScriptedChain],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, decoded = [], []

    def counted(sealed: bytes, secret: bytes, context: bytes) -> bytes:
        opened.append(sealed)
        return unseal(sealed, secret, context)

    def reads(self: Chat, payload: bytes) -> Any:
        decoded.append(payload)
        return decode(self, payload)

    decode = Chat.decode
    monkeypatch.setattr("vagus.daemon.sealed.unseal", counted)
    monkeypatch.setattr(Chat, "decode", reads)
    sealed = seal(PAYLOAD, [TRANSPORT.x25519], CONTEXT)
    node = node_of(tmp_path, model, chains, confidential)
    async with node.start():
        record = await node.ask(sealed)
        await node.carry_to(record, Stage.ROUTED)
        assert (opened, decoded) == ([sealed], [PAYLOAD])
        await node.carry_to(record, Stage.EXECUTED)
    assert record.output == b"Paris"
    assert (opened, decoded) == ([sealed] * 2, [PAYLOAD] * 2)
