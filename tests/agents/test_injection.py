"""Prompt injection by payload: the payload is data, whatever the model makes of it.

Each attack of the corpus goes to every built-in agent through the real pipeline, journal and
signer, with a model that gives in to it in four ways. What no attack may change is compared with
what a harmless payload leads to.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from structlog.testing import capture_logs

from support.injection import AGENTS, BEHAVIOURS, HARMLESS, Attack, Hostile, attacks
from support.pipelines import Node, two_chains
from support.scripted import Scripted, scripted
from vagus.agents import Policy
from vagus.compute.backends.openai import ModelConfig, OpenAIConfig
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.protocol import MAX_PAYLOAD, Attestation, Refuse, Status, agent_id

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("injection")]

ATTACKS = attacks()
KINDS = sorted({attack.kind for attack in ATTACKS})

# Made up; each is where the node keeps such a thing, and none may be seen anywhere else.
SIGNER = keccak(text="the signer of this test")
SECRETS = {
    "password": "CanaryOfTheKeystorePassword0123",
    "api key": "sk-CanaryOfTheModelServer0123456789",
    "environment": "CanaryOfTheEnvironment0123456789",
    "signer key": SIGNER.hex(),
}


@dataclass
class Run:
    """What one attack on one agent has led to."""

    attack: Attack
    agent: str
    behaviour: str
    record: IntentRecord
    evidence: bytes
    bodies: list[dict[str, Any]]
    logs: str
    audited: set[str]

    @property
    def ended(self) -> str:
        if self.record.status == Status.FULFILLED:
            return "answered"
        return "refused after the model" if self.bodies else "refused before it"


@dataclass
class Tried:
    """All runs, and what a harmless payload leads to, by agent and behaviour."""

    runs: list[Run]
    harmless: dict[tuple[str, str], Run]
    authorizations: set[str]
    forbidden: Scripted
    journal: bytes
    dest_hub: bytes


# What a process does that leads out of it, as CPython tells its auditors.
OUTWARD = (
    "open",
    "os.",
    "subprocess.",
    "pickle.",
    "import",
    "exec",
    "compile",
    "ctypes.",
    "shutil.",
)
OUTWARD += ("socket.connect", "socket.getaddrinfo", "socket.sendto", "marshal.", "urllib.")
_listening: list[set[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    for found in _listening:
        if event.startswith(OUTWARD):
            found.add(f"{event} {arguments!r}")


sys.addaudithook(_audit)


@contextlib.contextmanager
def audited() -> Iterator[set[str]]:
    """Gather what this process does outwardly."""
    found = set[str]()
    _listening.append(found)
    try:
        yield found
    finally:
        _listening.remove(found)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tried(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tried]:
    """Every attack on every agent. One that no model was asked about is tried but once."""
    folder = tmp_path_factory.mktemp("injection")
    hostile = Hostile(list(SECRETS.values()))
    with pytest.MonkeyPatch.context() as patch:
        # Where a path in a payload would find them.
        patch.chdir(folder)
        patch.setenv("API_KEY", SECRETS["environment"])
        (folder / "keys").mkdir()
        for name in ("password", "api key"):
            path = folder / "keys" / name.replace(" ", "-")
            path.write_text(SECRETS[name] + "\n")
            path.chmod(0o600)
        key = PrivateKey(SIGNER)
        async with (
            scripted(hostile.answer) as served,
            scripted(hostile.answer) as forbidden,
            two_chains(key) as (a, b),
        ):
            backend = OpenAIConfig(
                name="allowed",
                base_url=served.base_url,
                network="allowed",
                models=(ModelConfig(name="m"),),
                api_key_file=folder / "keys" / "api-key",
            )
            node = Node(
                *(folder, forbidden.base_url, key, a, b),
                agents={agent: {} for agent in AGENTS},
                policy=Policy(networks=("allowed",)),
                others=[backend],
            )
            async with node.start():
                pairs = [(agent, how) for agent in AGENTS for how in BEHAVIOURS]
                for agent, how in pairs:  # whatever is imported late is imported now
                    await _run(node, hostile, HARMLESS, agent, how)
                harmless = {pair: await _run(node, hostile, HARMLESS, *pair) for pair in pairs}
                runs = []
                for attack in ATTACKS:
                    for agent in AGENTS:
                        for how in _ways(attack):
                            runs.append(await _run(node, hostile, attack, agent, how))
                            if not runs[-1].bodies:
                                break
            files = sorted(folder.glob("journal.sqlite*"))
            journal = b"".join(path.read_bytes() for path in files)
    yield Tried(runs, harmless, hostile.authorizations, forbidden, journal, b.hub_id)


def _ways(attack: Attack) -> tuple[str, str]:
    """Each attack meets a model that obeys in shape, and one of the others in turn."""
    return BEHAVIOURS[-1], BEHAVIOURS[attack.number % (len(BEHAVIOURS) - 1)]


async def _run(node: Node, hostile: Hostile, attack: Attack, agent: str, how: str) -> Run:
    hostile.behaviour, hostile.bodies = how, []
    record = await node.ask(attack.payload(agent), agent_id=agent_id(agent))
    with capture_logs() as logs, audited() as found:
        await node.carry_to(record, Stage.ATTESTED)
    assert record.attestation is not None
    evidence = await node.journal.evidence(record.attestation.evidence_hash)
    assert evidence is not None
    return Run(attack, agent, how, record, evidence, hostile.bodies, json.dumps(logs), found)


async def test_the_corpus_has_at_least_200_attacks_of_every_kind_and_none_twice() -> None:
    counts = Counter(attack.kind for attack in ATTACKS)
    assert sum(counts.values()) >= 200
    assert set(counts) == {
        "delimiters", "instructions", "json", "memory", "oversized", "paths", "schema",
        "templates", "tools", "unicode",
    }  # fmt: skip
    assert min(counts.values()) >= 10
    assert len({(attack.text, str(attack.schema), attack.raw) for attack in ATTACKS}) == len(
        ATTACKS
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_every_attack_ends_as_an_answer_of_the_right_shape_or_a_refusal_in_words(
    kind: str, tried: Tried
) -> None:
    for run in tried.runs:
        if run.attack.kind == kind:
            record = run.record
            assert record.status in {Status.FULFILLED, Status.REFUSED}, run
            if record.status == Status.FULFILLED:
                assert run.attack.allows(run.agent, record.output), run
            else:
                assert record.output == b""
                assert 10 < len(record.reason) < 400
                assert record.reason.isprintable()


async def test_no_attack_changes_what_is_asked_of_the_model_but_its_data(tried: Tried) -> None:
    """The system's words, the model, sampling, roles and keys are those of a harmless question."""
    for run in tried.runs:
        if run.bodies:
            (harmless,), (body,) = tried.harmless[run.agent, run.behaviour].bodies, run.bodies
            assert body.keys() == harmless.keys()
            assert "tools" not in body
            varying = {"messages", "seed", "response_format"}
            varying |= {"max_tokens"} if run.agent == "choose@1" else set()
            assert {k: v for k, v in body.items() if k not in varying} == {
                k: v for k, v in harmless.items() if k not in varying
            }
            assert [m["role"] for m in body["messages"]] == [
                m["role"] for m in harmless["messages"]
            ]
            assert body["messages"][:-1] == harmless["messages"][:-1]
            if run.agent != "chat@1":
                data = json.loads(body["messages"][-1]["content"])
                asked = json.loads(run.attack.payload(run.agent))
                assert {key: asked[key] for key in data if key not in {"min", "max"}} == {
                    key: value for key, value in data.items() if key not in {"min", "max"}
                }
                assert "<" not in body["messages"][-1]["content"]


async def test_no_attack_changes_the_route_and_no_other_server_is_asked(tried: Tried) -> None:
    assert {run.record.backend for run in tried.harmless.values()} == {"allowed/m"}
    assert {run.record.backend for run in tried.runs if run.bodies} == {"allowed/m"}
    assert tried.forbidden.requests == []
    assert tried.authorizations == {f"Bearer {SECRETS['api key']}"}
    assert max(len(run.bodies) for run in tried.runs) == 1


async def test_no_attack_changes_what_is_attested_but_by_the_output(tried: Tried) -> None:
    """eth_account signs the same bytes: from the intent, the output, and nothing else."""
    account = Account.from_key(SIGNER)
    digests = {run.agent: _attestation(run) for run in tried.harmless.values() if _answered(run)}
    for run in tried.runs:
        found, record = _attestation(run), run.record
        expected = {
            "intentId": record.id,
            "originHub": record.intent.origin_hub,
            "status": 0 if _answered(run) else 1,
            "outputHash": keccak(record.output),
            "agentDigest": digests[run.agent]["agentDigest"] if _answered(run) else bytes(32),
            "modelDigest": digests[run.agent]["modelDigest"] if _answered(run) else bytes(32),
            "evidenceHash": keccak(run.evidence),
            "epoch": digests[run.agent]["epoch"],
            "expiry": record.intent.deadline,
        }
        assert found == expected
        domain = {"name": "vagus", "version": "1", "salt": tried.dest_hub}
        signed = account.sign_message(
            encode_typed_data(domain, {"Attestation": _ATTESTATION}, expected)
        )
        assert record.signatures == (bytes(signed.signature),)


_ATTESTATION = [
    {"name": name, "type": "bytes32" if name.endswith(("Id", "Hub", "Hash", "Digest")) else "uint64"}
    for name in (
        "intentId", "originHub", "status", "outputHash", "agentDigest", "modelDigest",
        "evidenceHash", "epoch", "expiry",
    )
]  # fmt: skip


def _attestation(run: Run) -> dict[str, Any]:
    """The attestation's fields in the struct's order, under the struct's names."""
    attestation = run.record.attestation
    assert isinstance(attestation, Attestation)
    values = [getattr(attestation, each.name) for each in fields(attestation)]
    return dict(zip((each["name"] for each in _ATTESTATION), values, strict=True))


def _answered(run: Run) -> bool:
    return run.record.status == Status.FULFILLED


async def test_evidence_holds_nothing_of_a_payload_but_hashes(tried: Tried) -> None:
    harmless = {run.agent: run for run in tried.harmless.values() if _answered(run)}
    for run in tried.runs:
        document = json.loads(run.evidence)
        if _answered(run):
            assert _skeleton(document) == _skeleton(json.loads(harmless[run.agent].evidence))
        else:
            assert document.keys() == {"version", "intent", "status", "reason"}
            assert document["reason"] == run.record.reason


def _skeleton(document: dict[str, Any]) -> dict[str, Any]:
    """Evidence without what names the intent and its output, and without measured times."""
    (call,) = document["calls"]
    kept = {k: v for k, v in document.items() if k not in {"intent", "output_hash", "times"}}
    assert call["finish"] in {"stop", "tool_calls"}
    return {**kept, "calls": [{k: v for k, v in call.items() if k not in {"times", "finish"}}]}


async def test_no_secret_is_in_an_output_a_prompt_the_evidence_the_log_or_the_journal(
    tried: Tried,
) -> None:
    places = {
        "outputs": b"".join(run.record.output for run in tried.runs),
        "prompts": json.dumps([run.bodies for run in tried.runs]).encode(),
        "evidence": b"".join(run.evidence for run in tried.runs),
        "reasons": " ".join(run.record.reason for run in tried.runs).encode(),
        "log": " ".join(run.logs for run in tried.runs).encode(),
        "journal": tried.journal,
    }
    assert all(places.values())
    for place, text in places.items():
        for name, secret in SECRETS.items():
            assert secret.encode() not in text, (place, name)
        assert SIGNER not in text, place


async def test_nothing_is_loaded_opened_run_or_called_for_a_payload(tried: Tried) -> None:
    """CPython's own audit: no file, no import, no unpickling, no process, no other address."""
    usual = set().union(*(run.audited for run in tried.harmless.values()))
    assert any(event.startswith("socket.connect") for event in usual)
    strange = {event for run in tried.runs for event in run.audited} - usual
    with audited() as seen:
        Path(os.devnull).read_bytes()
    assert len(seen) == 1, "the audit is blind"
    allowed = {event for event in usual if event.startswith("socket.connect")}
    ports = {event.rpartition("(")[2] for event in allowed}
    assert {event for event in strange if event.rpartition("(")[2] not in ports} == set()


async def test_no_marks_of_an_attack_are_in_the_log(tried: Tried) -> None:
    for run in tried.runs:
        assert "Traceback" not in run.logs
        if run.attack.text and len(run.attack.text) > 20:
            assert run.attack.text not in run.logs
            assert run.attack.text not in run.record.reason


async def test_the_table_of_kinds(tried: Tried) -> None:
    """Seen with `pytest -s`."""
    ends = ("answered", "refused before it", "refused after the model")
    print(f"\n{'kind':14}{'attacks':>8}{'runs':>7}" + "".join(f"{end:>25}" for end in ends))
    for kind in KINDS:
        runs = [run for run in tried.runs if run.attack.kind == kind]
        counts = Counter(run.ended for run in runs)
        number = len({run.attack.number for run in runs})
        print(f"{kind:14}{number:8}{len(runs):7}" + "".join(f"{counts[end]:25}" for end in ends))
    counts = Counter(run.ended for run in tried.runs)
    print(
        f"{'all':14}{len(ATTACKS):8}{len(tried.runs):7}" + "".join(f"{counts[e]:25}" for e in ends)
    )
    assert all(counts[end] for end in ends)


@pytest.mark.parametrize("agent", AGENTS)
async def test_no_payload_changes_the_verdict_of_a_policy(agent: str, tmp_path: Path) -> None:
    """An operator who serves something else refuses all of them, in the same words, unasked.

    Payloads over 8,192 bytes are no hub's: they are refused before any policy is looked at.
    """
    key = PrivateKey(SIGNER)
    hostile = Hostile([])
    async with scripted(hostile.answer) as served, two_chains(key) as (a, b):
        node = Node(
            *(tmp_path, served.base_url, key, a, b),
            agents={agent: {} for agent in AGENTS},
            policy=Policy(agents=("other@1",)),
        )
        async with node.start():
            record = await node.ask(HARMLESS.payload(agent), agent_id=agent_id(agent))
            verdicts = set()
            for attack in (HARMLESS, *ATTACKS):
                payload = attack.payload(agent)
                intent = replace(record.intent, payload_hash=keccak(payload))
                if len(payload) <= MAX_PAYLOAD:
                    asked = replace(record, payload=payload, intent=intent)
                    with pytest.raises(Refuse) as verdict:
                        await node.pipeline._executor.route(asked, b.chain)
                    verdicts.add(verdict.value.reason)
        assert verdicts == {f"{agent} is not among this operator's agents"}
        assert served.requests == []
