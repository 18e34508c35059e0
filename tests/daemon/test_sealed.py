"""Sealed payloads on a node: members alone read them, and backends alone that prove what they run."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.agents import Written
from support.chain import ScriptedChain
from support.pipelines import PAYLOAD, A, Node, two_chains
from support.scripted import Scripted
from support.web import answer, certified, website
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, ConfidentialConfig
from vagus.compute.sandbox.ionet_confidential import ConfidentialSandbox
from vagus.daemon.journal.records import Stage
from vagus.daemon.sealed import Opener
from vagus.daemon.transport_key import TransportKey
from vagus.protocol import Retry, Status, Terms, agent_id, hub_id
from vagus.protocol.sealing import payload_context, seal

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


@pytest.fixture
async def confidential(written: Written, tmp_path: Path) -> AsyncIterator[ConfidentialBackend]:
    async with ConfidentialSandbox(written) as sandbox:
        key = tmp_path / "key"
        key.touch(0o600)
        key.write_text(sandbox.api_key)
        config = ConfidentialConfig(
            name="confidential",
            base_url=sandbox.base_url,
            models=("written",),
            api_key_file=key,
        )
        async with ConfidentialBackend(config) as backend:
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
    (asked,) = written.asked
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
        "no backend is left by the privacy confidential: it goes to backends alone that prove what they run"
    )
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
